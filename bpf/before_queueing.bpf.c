/* The same counts where the kernel has no BTF of its own, or is too old for `applications.bpf.c`: what is sent is
 * counted where cgroups see it, before queues drop it and software divides it.
 *
 * No field of the kernel's own structures is read, so nothing is relocated (CO-RE). What is used here is in Linux 5.15;
 * the loader that bpftool makes needs 5.14 (BPF_PROG_TYPE_SYSCALL).
 *
 * A socket belongs to who made it, for all of its life. Who that is, is what helpers tell: the thread's name, the user
 * and the cgroup; user space finds the executable. Sockets that are older than the programs are unnamed, and so are
 * those that the kernel makes for itself (NFS, the parts of MPTCP connections), but for raw ones: with those it resets
 * connections, answers echo requests and finds neighbours.
 */
#include "types.h"

/* Of a socket: whose it is, and which counter its packets went to last. */
struct ownership {
    __u64 owner;
    __u64 cached; /* see `way_of` */
    __u64 netns;
};

#include "counting.h"

/* The running thread's owner, the same for all processes of one name, user and cgroup. */
static __noinline __u64 running_owner(void)
{
    __u64 comm[2] = {};
    __u32 uid = bpf_get_current_uid_gid();
    __u64 cgroup = bpf_get_current_cgroup_id();

    bpf_get_current_comm(comm, sizeof comm);
    __u64 hash = mixed(0x9e3779b97f4a7c15ULL, uid);
    hash = mixed(hash, cgroup);
    hash = mixed(hash, comm[0]);
    hash = mixed(hash, comm[1]);
    __u64 number = number_of(hash);
    if (bpf_map_lookup_elem(&owners, &number))
        return number;
    struct owner *owner = take();
    if (!owner)
        return number;
    owner->cgroup = cgroup;
    owner->uid = uid;
    owner->tgid = bpf_get_current_pid_tgid() >> 32;
    __builtin_memcpy(owner->comm, comm, sizeof comm);
    note(number, owner);
    give_back(owner);
    return number;
}

SEC("cgroup/sock_create")
int made(struct bpf_sock *sock)
{
    struct ownership *own = ownership_of(sock);

    if (!own)
        return 1;
    own->owner = running_owner();
    own->netns = bpf_get_netns_cookie(sock);
    return 1;
}

static __always_inline int seen(struct __sk_buff *packet, int is_sent)
{
    struct bpf_sock *sock = packet->sk;
    struct ownership *own = 0;
    struct key key = {.ifindex = packet->ifindex, .used = 1};

    if (sock)
        sock = bpf_sk_fullsock(sock);
    if (sock)
        own = bpf_sk_storage_get(&sockets, sock, 0, 0);
    key.netns = namespace_of(packet, own);
    if (!own && sock && sock->type != SOCK_RAW)
        key.owner = UNNAMED;
    return count(packet, &key, own, sock && sock->type == SOCK_STREAM ? end_of(sock->state) : NO_STREAM, is_sent);
}

SEC("cgroup_skb/ingress")
int ingress(struct __sk_buff *packet)
{
    return seen(packet, 0);
}

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *packet)
{
    return seen(packet, 1);
}
