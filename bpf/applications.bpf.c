/* Whose bytes they are: every packet that an interface counts is counted here as well, by owner.
 *
 * A socket belongs to the process that made it, then to the one that last used it; that is kept in the socket's own
 * storage, which accepted sockets inherit and which ends with the socket. What is sent is counted where the driver is
 * handed the frame, as the device counts it: after queues have dropped and software has divided. What is received is
 * counted where the socket is about to get it; what reaches no socket (a packet for a closed port) is counted nowhere,
 * and is the difference to the interface's own counter.
 *
 * Counters only grow. None of the programs changes, delays or drops a packet: those that could return 1, "go on".
 */
#include "kernel.h"

/* Of a socket: whose it is, and which counter its packets went to last. */
struct ownership {
    __u64 owner;
    __u64 cached; /* see `way_of` */
    __u64 netns;
    __u64 user;   /* who used it last, see `running` */
    __u32 is_stream;
    __u32 is_part; /* of an MPTCP connection: the kernel made it, and the whole has the owner */
};

#include "counting.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define AF_INET 2
#define AF_INET6 10
#define TIME_WAIT 6 /* states of TCP sockets that are no whole ones, include/net/tcp_states.h */
#define NEW_SYN_RECV 12
#define SMALLEST_DIVIDED 216 /* bytes: two parts of the least that a path takes, RFC 879 and 1191 */

/* Owners of processes that were met lately: finding out takes as long as a dozen packets. A process is told from all
 * others by when it began, and may have another owner after an exec, in another cgroup and as another user. */
struct process {
    __u64 user; /* see `running` */
    __u64 cgroup;
    __u32 uid, tgid;
};
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, struct process);
    __type(value, __u64);
} met SEC(".maps");

/* ---- Owners ------------------------------------------------------------------------------------------------- */

/* Up to eight letters as one number, so that names are compared without a branch for each letter. */
static __always_inline __u64 letters(const char *word, int count)
{
    __u64 found = 0;

#pragma unroll
    for (int n = 0; n < 8; n++)
        if (n < count)
            found |= (__u64)(__u8)word[n] << 8 * n;
    return found;
}

/* `count` letters of a word; one more to have the end of it as well. */
#define IS(name, word, count) ((int)(((name) & (~0ULL >> (64 - 8 * (count)))) == letters(word, count)))

static __always_inline int is_shell(__u64 name)
{
    return IS(name, "bash", 5) | IS(name, "dash", 5) | IS(name, "sh", 3);
}

/* Whether an executable of this name runs scripts, so that the script is what a person would name; python3.11 does. */
static __always_inline int runs_scripts(__u64 name)
{
    return IS(name, "python", 6) | IS(name, "perl", 4) | IS(name, "ruby", 4) | IS(name, "node", 4) |
           IS(name, "php", 3) | IS(name, "lua", 3) | IS(name, "deno", 5) | IS(name, "bun", 4) |
           IS(name, "java", 5) | is_shell(name);
}

/* The first argument after the program's own name that is no option, or the option after which code follows: -c, and
 * -e but for shells. Arguments are in the task's memory, so only the running task's can be read. */
static __noinline int read_script(struct owner *owner)
{
    struct task_struct *task = (void *)bpf_get_current_task();
    struct mm_struct *mm = BPF_CORE_READ(task, mm);
    unsigned long at = BPF_CORE_READ(mm, arg_start), end = BPF_CORE_READ(mm, arg_end);

    if (!owner)
        return 0;
    char *script = owner->script, *argument = owner->path[1]; /* whose place is free until an owner is described */
    int shell = is_shell(*(__u64 *)owner->path[0]);
    __builtin_memset(script, 0, SCRIPT_LENGTH);
#pragma clang loop unroll(disable)
    for (int n = 0; n < 8; n++) {
        if (at >= end)
            return 0;
        long length = bpf_probe_read_user_str(argument, SCRIPT_LENGTH, (void *)at);
        if (length <= 0)
            return 0;
        __u64 word = *(__u64 *)argument;
        if (n && (argument[0] != '-' || IS(word, "-c", 3) || (!shell && IS(word, "-e", 3)))) {
            bpf_probe_read_user_str(script, SCRIPT_LENGTH, (void *)at);
            return 0;
        }
        at += length;
        if (length == SCRIPT_LENGTH)
            return 0; /* where the next one begins is not known */
    }
    return 0;
}

static __always_inline struct kernfs_node *above(struct kernfs_node *node)
{
    struct kernfs_node___since_6_15 *newer = (void *)node;

    if (bpf_core_field_exists(newer->__parent))
        return BPF_CORE_READ(newer, __parent);
    return BPF_CORE_READ(node, parent);
}

/* Note the names of an executable and of a cgroup, and of what they are in. */
static __always_inline void describe(struct owner *owner, struct dentry *dentry, struct kernfs_node *node)
{
#pragma clang loop unroll(disable)
    for (int n = 0; n < PATH_PARTS; n++) {
        owner->path[n][0] = 0;
        bpf_probe_read_kernel_str(owner->path[n], PART_LENGTH, BPF_CORE_READ(dentry, d_name.name));
        dentry = BPF_CORE_READ(dentry, d_parent);
    }
#pragma clang loop unroll(disable)
    for (int n = 0; n < CGROUP_PARTS; n++) {
        owner->cgroup_path[n][0] = 0;
        bpf_probe_read_kernel_str(owner->cgroup_path[n], CGROUP_LENGTH, BPF_CORE_READ(node, name));
        node = above(node);
    }
}

/* Who a task is; 0 where it has no executable, else a number that is the same for all processes of one application, of
 * one user, in one cgroup; of scripts it is so for the running task alone. An owner that is met for the first time is
 * described under its number.
 *
 * A kernel that loads this searches all of its types for each that is read, unless it still knows it from before: it
 * remembers few, and forgets a css_set for an mm_struct and a cgroup for a file. So they are read in this order, once. */
static __noinline __u64 owner_of(struct task_struct *task, struct owner *owner)
{
    struct kernfs_node *node = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
    struct file *file = BPF_CORE_READ(task, mm, exe_file);
    struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);

    if (!owner || !file)
        return 0;
    owner->exe_inode = BPF_CORE_READ(file, f_inode, i_ino);
    owner->exe_device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
    owner->uid = BPF_CORE_READ(task, cred, uid.val);
    owner->cgroup = BPF_CORE_READ(node, id);
    owner->tgid = BPF_CORE_READ(task, tgid);
    BPF_CORE_READ_INTO(&owner->comm, task, group_leader, comm);
    owner->script[0] = 0;
    bpf_probe_read_kernel_str(owner->path[0], PART_LENGTH, BPF_CORE_READ(dentry, d_name.name));

    __u64 hash = mixed(0x9e3779b97f4a7c15ULL, owner->exe_inode);
    hash = mixed(hash, (__u64)owner->exe_device << 32 | owner->uid);
    hash = mixed(hash, owner->cgroup);
    hash = mixed(hash, ((__u64 *)owner->comm)[0]);
    hash = mixed(hash, ((__u64 *)owner->comm)[1]);
    if (runs_scripts(*(__u64 *)owner->path[0])) {
        if ((void *)task != (void *)bpf_get_current_task()) {
            hash = mixed(hash, owner->tgid); /* its script is not known here: it is taken for no other's */
        } else {
            read_script(owner);
#pragma clang loop unroll(disable)
            for (int n = 0; n < SCRIPT_LENGTH / 8; n++)
                hash = mixed(hash, ((__u64 *)owner->script)[n]);
        }
    }
    __u64 number = number_of(hash);
    if (bpf_map_lookup_elem(&owners, &number))
        return number;
    describe(owner, dentry, node);
    note(number, owner);
    return number;
}

static __always_inline __u64 known_owner_of(struct task_struct *task)
{
    struct owner *owner = take();

    if (!owner)
        return 0;
    __u64 number = owner_of(task, owner);
    give_back(owner);
    return number;
}

/* The running process and program: a number that no other process has, and another one after an exec. */
static __always_inline __u64 running(void)
{
    struct task_struct *leader = bpf_get_current_task_btf()->group_leader;

    return leader->start_boottime ^ leader->self_exec_id << 52;
}

/* The owner of the running process, which is `user`. Helpers tell what else is asked of it: for each pointer that is
 * followed, a kernel that loads this searches all of its types up to four times. */
static __always_inline __u64 current_owner(__u64 user)
{
    struct process process = {
        .user = user,
        .cgroup = bpf_get_current_cgroup_id(),
        .uid = bpf_get_current_uid_gid(),
        .tgid = bpf_get_current_pid_tgid() >> 32,
    };
    __u64 *known = bpf_map_lookup_elem(&met, &process);

    if (known)
        return *known;
    __u64 owner = known_owner_of((void *)bpf_get_current_task());
    if (owner)
        bpf_map_update_elem(&met, &process, &owner, BPF_ANY);
    return owner;
}

SEC("cgroup/sock_create")
int made(struct bpf_sock *sock)
{
    struct ownership *own = ownership_of(sock);
    __u64 user = running();

    if (!own)
        return 1;
    own->owner = current_owner(user);
    own->user = own->owner ? user : 0;
    own->is_stream = sock->type == SOCK_STREAM;
    own->netns = bpf_get_netns_cookie(sock);
    return 1;
}

#ifndef OLDER_KERNELS

/* Which socket was used last of those that have a place together: its inode's number, which no other socket gets for
 * long, and in the lowest 16 bits how often it was. */
#define RECENT 4096
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, RECENT);
    __type(key, __u32);
    __type(value, __u64);
} recent SEC(".maps");

/* Whether a socket has been used so often that another look at who uses it can wait: the first uses are all looked at,
 * then one of sixteen. */
#define LOOKED_AT 32
static __always_inline int can_wait(struct sock *sock)
{
    __u64 inode = sock->sk_socket->file->f_inode->i_ino;
    __u32 place = inode % RECENT;
    __u64 *last = bpf_map_lookup_elem(&recent, &place);

    if (!last || !inode)
        return 0;
    __u64 times = *last >> 16 == inode ? (*last & 0xffff) + 1 : 1;
    if (times > 0xffff)
        times = LOOKED_AT;
    *(volatile __u64 *)last = inode << 16 | times;
    return times > LOOKED_AT && times % 16;
}

/* Sockets are passed on: to children, by a service manager, as messages. Who uses one has it. */
static __always_inline int used(struct sock *sock)
{
    if (can_wait(sock))
        return 0;
    __u16 family = sock->__sk_common.skc_family;

    if (family != AF_INET && family != AF_INET6)
        return 0;
    struct ownership *own = ownership_of(sock);
    if (!own)
        return 0;
    __u64 user = running();
    if (own->user == user)
        return 0;
    own->netns = BPF_CORE_READ(sock, __sk_common.skc_net.net, net_cookie);
    own->is_stream = sock->sk_type == SOCK_STREAM;
    __u64 owner = current_owner(user);
    if (!owner)
        return 0;
    if (own->owner != owner) {
        own->owner = owner;
        own->cached = 0;
    }
    own->user = user;
    return 0;
}

SEC("tp_btf/sock_send_length")
int sent(__u64 *arguments)
{
    return used((struct sock *)arguments[0]);
}

SEC("tp_btf/sock_recv_length")
int received(__u64 *arguments)
{
    return used((struct sock *)arguments[0]);
}

#endif

/* Gives sockets an owner that were there before the programs; run once, after the others are attached. */
SEC("iter/task_file")
int found(struct bpf_iter__task_file *ctx)
{
    struct task_struct *task = ctx->task;
    struct file *file = ctx->file;

    if (!task || !file)
        return 0;
    struct socket *socket = bpf_sock_from_file(file);
    if (!socket)
        return 0;
    struct sock *sock = socket->sk;
    if (!sock)
        return 0;
    __u16 family = sock->__sk_common.skc_family;
    if (family != AF_INET && family != AF_INET6)
        return 0;
    struct ownership *own = ownership_of(sock);
    if (!own)
        return 0;
    if (own->owner)
        return 0;
    own->netns = BPF_CORE_READ(sock, __sk_common.skc_net.net, net_cookie);
    own->is_stream = sock->sk_type == SOCK_STREAM;
    own->owner = known_owner_of(task);
    return 0;
}

/* ---- Counters ----------------------------------------------------------------------------------------------- */

#ifndef OLDER_KERNELS

/* The kernel makes the TCP sockets of an MPTCP connection by itself. Each is given the owner of the whole when it
 * receives something; what it sent before, its first SYN, is the kernel's. */
static __always_inline struct ownership *part_of_mptcp(struct bpf_sock *sock, struct ownership *own)
{
    struct mptcp_sock *whole = bpf_skc_to_mptcp_sock(sock);
    struct ownership *known = whole ? bpf_sk_storage_get(&sockets, whole, 0, 0) : 0;

    if (!known)
        return own;
    if (!own)
        own = bpf_sk_storage_get(&sockets, sock, 0, BPF_SK_STORAGE_GET_F_CREATE);
    if (!own)
        return known;
    if (own->owner != known->owner) {
        own->owner = known->owner;
        own->cached = 0;
    }
    own->is_part = own->is_stream = 1;
    own->netns = known->netns;
    return own;
}

#endif

SEC("cgroup_skb/ingress")
int ingress(struct __sk_buff *packet)
{
    struct bpf_sock *sock = packet->sk;
    struct ownership *own = 0;
    struct key key = {.ifindex = packet->ifindex, .used = 1};
    enum end end = NO_STREAM;

    if (sock) {
        own = bpf_sk_storage_get(&sockets, sock, 0, 0);
        end = end_of(sock->state);
    }
#ifndef OLDER_KERNELS
    if (sock && (!own || own->is_part)) {
        sock = bpf_sk_fullsock(sock);
        if (sock)
            own = part_of_mptcp(sock, own);
    }
#endif
    key.netns = namespace_of(packet, own);
    return count(packet, &key, own, own && own->is_stream ? end : NO_STREAM, 0);
}

/* Whose a packet is that is sent by no socket of an owner's. */
static __always_inline __u64 of_no_owner(const struct sk_buff *packet, const struct net_device *device,
                                         struct sock *sock)
{
    if (packet->skb_iif && packet->skb_iif != device->ifindex)
        return FORWARDED;
    if (!sock)
        return KERNEL;
    __u8 state = sock->__sk_common.skc_state;
    return state == TIME_WAIT || state == NEW_SYN_RECV || sock->sk_type == SOCK_RAW ? KERNEL : KERNEL_SOCKETS;
}

/* Read the headers of a packet that is sent; how long they are, 0 where they are none of IP. */
static __always_inline __u32 read_sent(struct key *key, const struct sk_buff *packet)
{
    const unsigned char *network = packet->head + packet->network_header;

    if (packet->protocol == bpf_htons(ETHERNET_IPV4)) {
        struct ipv4_header ip;
        key->family = 4;
        if (!bpf_probe_read_kernel(&ip, sizeof ip, network))
            return read_ipv4(key, &ip, ip.to);
    } else if (packet->protocol == bpf_htons(ETHERNET_IPV6)) {
        struct ipv6_header ip;
        key->family = 6;
        if (!bpf_probe_read_kernel(&ip, sizeof ip, network))
            return read_ipv6(key, &ip, ip.to);
    } else {
        key->scope = LINK;
    }
    return 0;
}

/* Into how many parts the device divides a packet; 0 or 1 where it does not. */
static __always_inline __u16 parts_of(const struct sk_buff *packet)
{
    if (packet->len < SMALLEST_DIVIDED)
        return 0;
    struct skb_shared_info *shared = (void *)(packet->head + packet->end);
    return BPF_CORE_READ(shared, gso_segs);
}

/* A byte of the transport layer's header, which begins after `headers` bytes of the network layer's. */
static __always_inline __u8 byte_at(const struct sk_buff *packet, __u32 headers, __u32 place)
{
    __u8 found = 0;

    bpf_probe_read_kernel(&found, 1, packet->head + packet->network_header + headers + place);
    return found;
}

static __always_inline int add_sent(__u32 slot, const struct sk_buff *packet, __u16 parts, __u8 protocol, __u32 headers)
{
    struct counter *counter = bpf_map_lookup_elem(&counters, &slot);

    if (!counter)
        return 0;
    ADD(counter->tx_bytes, packet->len);
    ADD(counter->tx_packets, 1);
    if (parts > 1) {
        __u64 before = (__u64)packet->head + packet->network_header - (__u64)packet->data;
        __u64 length = protocol == TCP ? (byte_at(packet, headers, 12) >> 4) * 4 : 8;
        ADD(counter->tx_header_bytes, (parts - 1) * (before + headers + length));
        ADD(counter->tx_segments, parts - 1);
    }
    return 0;
}

/* Count a packet that no socket of an owner's sent. Apart from the others, which are more and want to be quick. */
static __noinline int count_nobodys(const struct sk_buff *packet, const struct net_device *device, struct sock *sock,
                                    __u64 netns)
{
    struct key key = {.ifindex = device->ifindex, .netns = netns, .used = 1};
    __u32 headers = read_sent(&key, packet);

    key.owner = of_no_owner(packet, device, sock);
    if (key.owner == KERNEL && key.protocol == TCP && byte_at(packet, headers, 13) & RESET)
        key.owner = RESETS;
    return add_sent(slot_of(&key), packet, parts_of(packet), key.protocol, headers);
}

SEC("tp_btf/net_dev_start_xmit")
int transmit(__u64 *arguments)
{
    const struct sk_buff *packet = (void *)arguments[0];
    const struct net_device *device = (void *)arguments[1];
    struct sock *sock = packet->sk;
    struct ownership *own = sock ? bpf_sk_storage_get(&sockets, sock, 0, 0) : 0;
    __u64 netns = device->nd_net.net->net_cookie;

    if (!own)
        return count_nobodys(packet, device, sock, netns);
    struct key key = {.ifindex = device->ifindex, .netns = netns, .used = 1};
    __u16 parts = parts_of(packet);
    enum end end = own->is_stream ? end_of(sock->__sk_common.skc_state) : NO_STREAM;
    __u32 headers = 0, slot = parts > 1 ? 0 : slot_of_tcp(own, &key, end);
    if (!slot) {
        headers = read_sent(&key, packet);
        slot = slot_of_packet(own, &key, end);
    }
    return add_sent(slot, packet, parts, key.protocol, headers);
}
