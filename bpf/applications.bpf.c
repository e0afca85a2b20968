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
#include "layout.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define ETHERNET_IPV4 0x0800
#define ETHERNET_IPV6 0x86dd
#define TCP 6
#define UDP 17
#define SMALLEST_DIVIDED 216 /* bytes: two parts of the least that a path takes, RFC 879 and 1191 */

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Of a socket: whose it is, and which counter its packets went to last. */
struct ownership {
    __u64 owner;
    __u64 cached; /* see `way_of` */
    __u64 user;   /* who used it last, see `running` */
    __u64 is_part; /* of an MPTCP connection: the kernel made it, and the whole has the owner */
};

struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
    __type(key, int);
    __type(value, struct ownership);
} sockets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, OWNERS);
    __type(key, __u64);
    __type(value, struct owner);
} owners SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, SLOTS);
    __type(key, struct key);
    __type(value, __u32);
} slots SEC(".maps");

/* The next three are mapped into the memory of user space, which reads them without a system call. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, SLOTS);
    __type(key, __u32);
    __type(value, struct key);
} keys SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, SLOTS);
    __type(key, __u32);
    __type(value, struct counter);
} counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct state);
} states SEC(".maps");

/* An owner is too large for the stack. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct owner);
} scratch SEC(".maps");

static __always_inline struct state *state(void)
{
    __u32 zero = 0;
    return bpf_map_lookup_elem(&states, &zero);
}

/* ---- Owners ------------------------------------------------------------------------------------------------- */

static __always_inline __u64 mixed(__u64 hash, __u64 value)
{
    hash ^= value;
    hash *= 0xff51afd7ed558ccdULL;
    return hash ^ hash >> 32;
}

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
    char *script = owner->script;
    int shell = is_shell(*(__u64 *)owner->path[0]);
    for (int n = 0; n < 8; n++) {
        if (at >= end)
            break;
        __builtin_memset(script, 0, SCRIPT_LENGTH);
        long length = bpf_probe_read_user_str(script, SCRIPT_LENGTH, (void *)at);
        if (length <= 0)
            break;
        __u64 word = *(__u64 *)script;
        if (n && (script[0] != '-' || IS(word, "-c", 3) || (!shell && IS(word, "-e", 3))))
            return 0;
        at += length;
        if (length == SCRIPT_LENGTH)
            break; /* where the next one begins is not known */
    }
    script[0] = 0;
    return 0;
}

/* Who a task is, in `scratch`; 0 where it has no executable, else a number that is the same for all processes of one
 * application, of one user, in one cgroup. */
static __noinline __u64 owner_of(struct task_struct *task)
{
    __u32 zero = 0;
    struct owner *owner = bpf_map_lookup_elem(&scratch, &zero);
    struct file *file = BPF_CORE_READ(task, mm, exe_file);
    struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);

    if (!owner || !file)
        return 0;
    owner->exe_inode = BPF_CORE_READ(file, f_inode, i_ino);
    owner->exe_device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
    owner->uid = BPF_CORE_READ(task, cred, uid.val);
    owner->cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
    owner->tgid = BPF_CORE_READ(task, tgid);
    BPF_CORE_READ_INTO(&owner->comm, task, group_leader, comm);
    owner->script[0] = 0;
    bpf_probe_read_kernel_str(owner->path[0], PART_LENGTH, BPF_CORE_READ(dentry, d_name.name));

    __u64 hash = mixed(0x9e3779b97f4a7c15ULL, owner->exe_inode);
    hash = mixed(hash, (__u64)owner->exe_device << 32 | owner->uid);
    hash = mixed(hash, owner->cgroup);
    hash = mixed(hash, ((__u64 *)owner->comm)[0]);
    hash = mixed(hash, ((__u64 *)owner->comm)[1]);
    if (runs_scripts(*(__u64 *)owner->path[0]) && (void *)task == (void *)bpf_get_current_task()) {
        read_script(owner);
        for (int n = 0; n < SCRIPT_LENGTH / 8; n++)
            hash = mixed(hash, ((__u64 *)owner->script)[n]);
    }
    return hash < FIRST_OWNER ? hash + FIRST_OWNER : hash;
}

/* Note what is in `scratch` under its number, the first time that it is met. */
static __noinline int describe(__u64 number, struct task_struct *task)
{
    __u32 zero = 0;
    struct owner *owner = bpf_map_lookup_elem(&scratch, &zero);
    struct dentry *dentry = BPF_CORE_READ(task, mm, exe_file, f_path.dentry);
    struct state *counts = state();

    if (!owner || !counts)
        return 0;
    for (int n = 0; n < PATH_PARTS; n++) {
        owner->path[n][0] = 0;
        bpf_probe_read_kernel_str(owner->path[n], PART_LENGTH, BPF_CORE_READ(dentry, d_name.name));
        dentry = BPF_CORE_READ(dentry, d_parent);
    }
    if (bpf_map_update_elem(&owners, &number, owner, BPF_NOEXIST) == -7 /* E2BIG */)
        __sync_fetch_and_add(&counts->nameless, 1);
    return 0;
}

static __always_inline __u64 known_owner_of(struct task_struct *task)
{
    __u64 number = owner_of(task);

    if (number && !bpf_map_lookup_elem(&owners, &number))
        describe(number, task);
    return number;
}

/* The running process and program: another number after an exec, which keeps the process's. */
static __always_inline __u64 running(void)
{
    struct task_struct *task = bpf_get_current_task_btf();

    return bpf_get_current_pid_tgid() >> 32 | task->group_leader->self_exec_id << 32;
}

static __always_inline void without_storage(void)
{
    struct state *counts = state();

    if (counts)
        __sync_fetch_and_add(&counts->without_storage, 1);
}

SEC("cgroup/sock_create")
int made(struct bpf_sock *sock)
{
    struct ownership *own = bpf_sk_storage_get(&sockets, sock, 0, BPF_SK_STORAGE_GET_F_CREATE);

    if (!own) {
        without_storage();
        return 1;
    }
    own->owner = known_owner_of((void *)bpf_get_current_task());
    own->user = running();
    return 1;
}

/* Sockets are passed on: to children, by a service manager, as messages. Who uses one has it. */
static __always_inline int used(struct sock *sock)
{
    __u16 family = sock->__sk_common.skc_family;
    __u64 user = running();

    if (family != AF_INET && family != AF_INET6)
        return 0;
    struct ownership *own = bpf_sk_storage_get(&sockets, sock, 0, BPF_SK_STORAGE_GET_F_CREATE);
    if (!own) {
        without_storage();
        return 0;
    }
    if (own->user == user)
        return 0;
    __u64 owner = known_owner_of((void *)bpf_get_current_task());
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
    struct ownership *own = bpf_sk_storage_get(&sockets, sock, 0, BPF_SK_STORAGE_GET_F_CREATE);
    if (!own) {
        without_storage();
        return 0;
    }
    if (own->owner)
        return 0;
    own->owner = known_owner_of(task);
    return 0;
}

/* ---- Counters ----------------------------------------------------------------------------------------------- */

static __always_inline __u8 scope_of_ipv4(__u32 address)
{
    __u32 first = address >> 24;

    if (first == 127)
        return LOOPBACK;
    if (first == 10 || address >> 20 == 0xac1 || address >> 16 == 0xc0a8 || address >> 22 == 0x191)
        return LAN; /* RFC 1918 and RFC 6598 */
    if (address >> 16 == 0xa9fe || first >= 224)
        return LINK; /* link-local, multicast and broadcast */
    return INTERNET;
}

static __always_inline __u8 scope_of_ipv6(const __be32 *address)
{
    __u32 first = bpf_ntohl(address[0]);

    if (first >> 24 == 0xff || first >> 22 == 0x3fa)
        return LINK;
    if (first >> 25 == 0x7e)
        return LAN; /* RFC 4193 */
    if (!first && !address[1]) {
        if (!address[2] && address[3] == bpf_htonl(1))
            return LOOPBACK;
        if (address[2] == bpf_htonl(0xffff))
            return scope_of_ipv4(bpf_ntohl(address[3]));
    }
    return INTERNET;
}

/* What headers tell of a packet whose other end is at `remote`; how long they are, 20 bytes at least. */
static __always_inline __u32 read_ipv4(struct key *key, const struct ipv4_header *ip, __be32 remote)
{
    key->protocol = ip->protocol;
    key->scope = scope_of_ipv4(bpf_ntohl(remote));
    return (ip->version_and_length & 15) * 4;
}

static __always_inline __u32 read_ipv6(struct key *key, const struct ipv6_header *ip, const __be32 *remote)
{
    key->protocol = ip->next_header;
    key->scope = scope_of_ipv6(remote);
    return sizeof *ip;
}

/* How long a header of the transport layer is; `words` is the byte of TCP's in which it says so. */
static __always_inline __u32 transport_length(const struct key *key, __u8 words)
{
    return key->protocol == TCP ? (words >> 4) * 4 : 8;
}

static __noinline __u32 slot_of(struct key *key)
{
    struct state *counts = state();

    if (!counts || !key)
        return 0;
    __u32 *known = bpf_map_lookup_elem(&slots, key);
    if (known)
        return *known;
    __u32 overflow = key->ifindex % OVERFLOW_SLOTS;
    if (counts->slots_used < SLOTS - OVERFLOW_SLOTS) {
        __u64 place = __sync_fetch_and_add(&counts->slots_used, 1) + OVERFLOW_SLOTS;
        __u32 slot = place;
        struct key *name = place < SLOTS ? bpf_map_lookup_elem(&keys, &slot) : 0;
        if (name) {
            if (!bpf_map_update_elem(&slots, key, &slot, BPF_NOEXIST)) {
                *name = *key;
                return slot;
            }
            known = bpf_map_lookup_elem(&slots, key); /* another processor was first; the place stays empty */
            if (known)
                return *known;
        }
    }
    __sync_fetch_and_add(&counts->overflows, 1);
    return overflow;
}

/* What a socket remembers of the slot that its packets went to: which packets those are, and in the lowest 14 bits the
 * slot. 0 where the namespace's or the interface's number is too large to be remembered. The other end of a TCP socket
 * is always the same, so its packets are told by namespace and interface alone, without a look at their headers. */
#define SLOT_BITS 14
#define TCP_SOCKET (1ULL << 17)

static __always_inline __u64 way_of(const struct key *key)
{
    if (key->netns >> 24 || key->ifindex >> 20)
        return 0;
    return key->netns << 40 | (__u64)key->ifindex << 20;
}

static __always_inline __u64 remembered(struct ownership *own)
{
    return own ? *(volatile __u64 *)&own->cached : 0;
}

/* The slot of a TCP socket's packets on this way, if it is remembered; slot 0 is nobody's. */
static __always_inline __u32 slot_of_tcp(struct ownership *own, const struct key *key)
{
    __u64 way = way_of(key) | TCP_SOCKET, cached = remembered(own);

    return cached >> SLOT_BITS == way >> SLOT_BITS && way > TCP_SOCKET ? cached & ((1 << SLOT_BITS) - 1) : 0;
}

/* The slot of a packet whose headers have been read. */
static __always_inline __u32 slot_of_packet(struct ownership *own, struct key *key, int is_stream)
{
    __u64 way = way_of(key), cached = remembered(own);
    __u32 slot;

    if (way && key->protocol == TCP && is_stream) /* and no raw socket */
        way |= TCP_SOCKET;
    else if (way && key->protocol == UDP)
        way |= (__u64)(key->scope & 3) << 15 | (__u64)(key->family == 6) << 14;
    else
        way = 0;
    if (way && cached >> SLOT_BITS == way >> SLOT_BITS && cached & (1 << SLOT_BITS) - 1)
        return cached & ((1 << SLOT_BITS) - 1);
    if (own)
        key->owner = own->owner;
    slot = slot_of(key);
    if (own && way && slot >= OVERFLOW_SLOTS)
        *(volatile __u64 *)&own->cached = way | slot;
    return slot;
}

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
    own->is_part = 1;
    return own;
}

#define ADD(number, more) __sync_fetch_and_add(&(number), (more))

SEC("cgroup_skb/ingress")
int ingress(struct __sk_buff *packet)
{
    struct bpf_sock *sock = packet->sk;
    struct ownership *own = 0;
    struct key key = {.ifindex = packet->ifindex, .used = 1};
    void *data = (void *)(long)packet->data, *end = (void *)(long)packet->data_end;
    __u32 length = packet->len, segments = packet->gso_segs, headers = 0;

    if (sock)
        sock = bpf_sk_fullsock(sock);
    if (sock) {
        own = bpf_sk_storage_get(&sockets, sock, 0, 0);
        if (!own || own->is_part)
            own = part_of_mptcp(sock, own);
    }
    key.netns = bpf_get_netns_cookie(packet);
    __u32 slot = segments > 1 ? 0 : slot_of_tcp(own, &key);
    if (!slot) {
        if (packet->protocol == bpf_htons(ETHERNET_IPV4)) {
            struct ipv4_header *ip = data;
            key.family = 4;
            if ((void *)(ip + 1) <= end)
                headers = read_ipv4(&key, ip, ip->from);
        } else {
            struct ipv6_header *ip = data;
            key.family = 6;
            if ((void *)(ip + 1) <= end)
                headers = read_ipv6(&key, ip, ip->from);
        }
        slot = slot_of_packet(own, &key, sock && sock->type == SOCK_STREAM);
    }
    struct counter *counter = bpf_map_lookup_elem(&counters, &slot);
    if (!counter)
        return 1;
    ADD(counter->rx_bytes, length);
    ADD(counter->rx_packets, 1);
    if (segments > 1) {
        __u8 words = 0;
        if (key.protocol == TCP)
            bpf_skb_load_bytes(packet, headers + 12, &words, 1);
        headers += transport_length(&key, words);
        ADD(counter->rx_header_bytes, (__u64)(segments - 1) * headers);
        ADD(counter->rx_segments, segments - 1);
    }
    return 1;
}

SEC("tp_btf/net_dev_start_xmit")
int transmit(__u64 *arguments)
{
    const struct sk_buff *packet = (void *)arguments[0];
    const struct net_device *device = (void *)arguments[1];
    struct sock *sock = packet->sk;
    struct ownership *own = 0;
    struct key key = {.ifindex = device->ifindex, .netns = device->nd_net.net->net_cookie, .used = 1};
    unsigned char *head = packet->head, *network = head + packet->network_header;
    __be16 protocol = packet->protocol;
    __u32 headers = 0;

    if (sock)
        own = bpf_sk_storage_get(&sockets, sock, 0, 0);
    if (!own && packet->skb_iif && packet->skb_iif != device->ifindex)
        key.owner = FORWARDED;
    __u32 length = packet->len;
    __u16 segments = 0;
    if (length >= SMALLEST_DIVIDED) {
        struct skb_shared_info *shared = (void *)(head + packet->end);
        segments = BPF_CORE_READ(shared, gso_segs);
    }
    __u32 slot = segments > 1 ? 0 : slot_of_tcp(own, &key);
    if (!slot) {
        if (protocol == bpf_htons(ETHERNET_IPV4)) {
            struct ipv4_header ip;
            key.family = 4;
            if (!bpf_probe_read_kernel(&ip, sizeof ip, network))
                headers = read_ipv4(&key, &ip, ip.to);
        } else if (protocol == bpf_htons(ETHERNET_IPV6)) {
            struct ipv6_header ip;
            key.family = 6;
            if (!bpf_probe_read_kernel(&ip, sizeof ip, network))
                headers = read_ipv6(&key, &ip, ip.to);
        } else {
            key.scope = LINK;
        }
        slot = slot_of_packet(own, &key, own && sock->sk_type == SOCK_STREAM);
    }
    struct counter *counter = bpf_map_lookup_elem(&counters, &slot);
    if (!counter)
        return 0;
    ADD(counter->tx_bytes, length);
    ADD(counter->tx_packets, 1);
    if (segments > 1) {
        headers += network - packet->data;
        __u8 words = 0;
        if (key.protocol == TCP)
            bpf_probe_read_kernel(&words, 1, packet->data + headers + 12);
        headers += transport_length(&key, words);
        ADD(counter->tx_header_bytes, (__u64)(segments - 1) * headers);
        ADD(counter->tx_segments, segments - 1);
    }
    return 0;
}
