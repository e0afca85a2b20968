/* Programs at the places of `bpf/applications.bpf.c` that count nothing: sockets get the same storage, and nothing else
 * is done. What they cost is the kernel's part of what counting costs. */
#include "../bpf/types.h"

struct ownership {
    __u64 owner, cached, netns;
    __u64 others[2]; /* as many bytes as there */
};

#include "../bpf/counting.h"

#define UNUSED __attribute__((unused)) void

SEC("cgroup/sock_create")
int made(struct bpf_sock *sock)
{
    ownership_of(sock);
    return 1;
}

SEC("tp_btf/sock_send_length")
int sent(UNUSED *arguments)
{
    return 0;
}

SEC("tp_btf/sock_recv_length")
int received(UNUSED *arguments)
{
    return 0;
}

SEC("tp_btf/net_dev_start_xmit")
int transmit(UNUSED *arguments)
{
    return 0;
}

SEC("cgroup_skb/ingress")
int ingress(UNUSED *packet)
{
    return 1;
}
