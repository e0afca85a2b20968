/* What both sets of programs have in common: the maps, how packets are sorted, and how they are counted where cgroups
 * see them. Each C file says first what it keeps of a socket, `struct ownership`; of which `owner`,
 * `cached` and `netns` are used here.
 */
#pragma once

#include "layout.h"
#include "types.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SYN_SENT 2 /* states of TCP sockets, include/net/tcp_states.h */
#define LISTEN 10
#define SOCK_STREAM 1
#define SOCK_RAW 3
#define ETHERNET_IPV4 0x0800
#define ETHERNET_IPV6 0x86dd
#define TCP 6
#define UDP 17
#define RESET 4 /* a flag of TCP */
#define LARGEST_TAKEN (65536 - 14 - 1) /* bytes that a device takes of a packet to divide, unless gso_max_size is set */

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Whose a socket is, and which counter its packets went to last; an accepted one has it from its listener. */
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

/* An owner is too large for the stack. The kernel may take the processor from a program that writes here and give it to
 * another one that does. */
#define PLACES 8
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, PLACES);
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

/* The number of an owner of this hash: none of those that are none. */
static __always_inline __u64 number_of(__u64 hash)
{
    return hash < FIRST_OWNER ? hash + FIRST_OWNER : hash;
}

/* Keep a description under its number; the first one stays. */
static __always_inline void note(__u64 number, const struct owner *owner)
{
    struct state *counts = state();

    if (bpf_map_update_elem(&owners, &number, owner, BPF_NOEXIST) == -7 /* E2BIG */ && counts)
        __sync_fetch_and_add(&counts->nameless, 1);
}

/* A place in `scratch` that nobody else writes to; 0 where all are taken. */
static __always_inline struct owner *take(void)
{
#pragma clang loop unroll(disable)
    for (int n = 0; n < PLACES; n++) {
        __u32 place = n;
        struct owner *owner = bpf_map_lookup_elem(&scratch, &place);
        if (owner && !__sync_val_compare_and_swap(&owner->taken, 0, 1))
            return owner;
    }
    return 0;
}

static __always_inline void give_back(struct owner *owner)
{
    *(volatile __u32 *)&owner->taken = 0;
}

/* What is kept of a socket, made where there is nothing yet; 0 where it cannot be. */
static __always_inline struct ownership *ownership_of(void *sock)
{
    struct ownership *own = bpf_sk_storage_get(&sockets, sock, 0, BPF_SK_STORAGE_GET_F_CREATE);
    struct state *counts = own ? 0 : state();

    if (counts)
        __sync_fetch_and_add(&counts->without_storage, 1);
    return own;
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

/* Write a key where user space reads it at any time: that it is written comes last. */
static __always_inline void write_key(struct key *to, const struct key *from)
{
    __u64 *into = (__u64 *)to;
    const __u64 *words = (const __u64 *)from;

    _Static_assert(sizeof *to == 3 * sizeof *into, "the mark is in the last of three words");
    into[0] = words[0];
    into[1] = words[1];
    __sync_lock_test_and_set(&into[2], words[2]); /* not before the others, on any processor */
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
                write_key(name, key);
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

/* Whose packets a TCP socket has: of many other ends, as one that listens; of the one that it connects to, which may not
 * be the one that it was connected to before; or, once it is connected, of the same one for good. */
enum end { NO_STREAM, ANY_END, NEXT_END, SAME_END };

static __always_inline enum end end_of(__u32 state)
{
    return state == LISTEN ? ANY_END : state == SYN_SENT ? NEXT_END : SAME_END;
}

/* What a socket remembers of the slot that its packets went to: which packets those are, and in the lowest 14 bits the
 * slot. STAYS says that all packets of a connected TCP socket are like that, which are told by namespace and interface
 * then, without a look at their headers. What listens does not remember it, so that an accepted socket, which remembers
 * what its listener does, looks at its first packet. */
#define SLOT_BITS 14
#define IS_IPV6 (1ULL << 14)
#define SCOPE_BIT 15
#define STAYS (1ULL << 17)
#define IS_TCP (1ULL << 18)

/* Packets of this namespace and interface; 0 where its numbers are too large to be remembered. */
static __always_inline __u64 way_of(const struct key *key)
{
    if (key->netns >> 24 || key->ifindex >> 20)
        return 0;
    return key->netns << 40 | (__u64)key->ifindex << 20;
}

static __always_inline __u64 remembered(struct ownership *own)
{
    return *(volatile __u64 *)&own->cached;
}

static __always_inline __u32 slot_in(__u64 cached)
{
    return cached & ((1 << SLOT_BITS) - 1);
}

/* The slot of a connected TCP socket's packets on this way, if it is remembered; 0, which is nobody's, if not. */
static __always_inline __u32 slot_of_tcp(struct ownership *own, const struct key *key, enum end end)
{
    __u64 way = way_of(key);

    if (!own || end != SAME_END || !way)
        return 0;
    __u64 cached = remembered(own);
    return (cached ^ (way | IS_TCP | STAYS)) < STAYS ? slot_in(cached) : 0;
}

/* The slot of a packet whose headers have been read; `own` may be 0.
 *
 * It is global, that is not static, so that the kernel checks it once, for all that `own` and `key` may be, and not for
 * each of the ways that lead here: which halves the time that loading takes. */
__noinline __u32 slot_of_packet(struct ownership *own, struct key *key, enum end end)
{
    if (!key)
        return 0;
    if (!own)
        return slot_of(key);
    int is_tcp = key->protocol == TCP && end != NO_STREAM; /* and no raw socket's */
    __u32 slot = is_tcp ? slot_of_tcp(own, key, end) : 0;
    if (slot) /* addresses that are translated may differ from one way to the other */
        return slot;
    __u64 way = is_tcp || key->protocol == UDP ? way_of(key) : 0, cached = remembered(own);
    if (way)
        way |= (__u64)(key->scope & 3) << SCOPE_BIT | (key->family == 6 ? IS_IPV6 : 0) | (is_tcp ? IS_TCP : 0);
    slot = slot_in(cached);
    if (!way || !slot || ((cached ^ way) & ~STAYS) >> SLOT_BITS) {
        key->owner = own->owner;
        slot = slot_of(key);
    }
    __u64 kept = way | slot | (is_tcp && end != ANY_END ? STAYS : 0);
    if (way && kept != cached && slot >= OVERFLOW_SLOTS) /* and nobody else has got the socket meanwhile */
        __sync_val_compare_and_swap(&own->cached, cached, kept);
    return slot;
}

/* Whether the kernel tells a packet's network namespace: 6.18 does, 5.15 refuses a program that asks. Without it, what
 * has no owner is counted in namespace 0. Set before the programs are loaded. */
const volatile __u8 packets_have_namespaces = 1;

static __always_inline __u64 namespace_of(struct __sk_buff *packet, struct ownership *own)
{
    __u64 netns = own ? own->netns : 0; /* which is written just after a socket got its storage */

    return netns || !packets_have_namespaces ? netns : bpf_get_netns_cookie(packet);
}

#define ADD(number, more) __sync_fetch_and_add(&(number), (more))

/* Count a packet as cgroups see it: from the network layer's header on. `key` has its owner, where no socket has one,
 * and its namespace; `is_sent` is known when this is compiled. */
static __always_inline int count(struct __sk_buff *packet, struct key *key, struct ownership *own, enum end end,
                                 int is_sent)
{
    void *data = (void *)(long)packet->data, *data_end = (void *)(long)packet->data_end;
    __u32 length = packet->len, segments = packet->gso_segs, headers = 0;
    __u32 slot = segments > 1 ? 0 : slot_of_tcp(own, key, end);

    if (!slot) {
        if (packet->protocol == bpf_htons(ETHERNET_IPV4)) {
            struct ipv4_header *ip = data;
            key->family = 4;
            if ((void *)(ip + 1) <= data_end)
                headers = read_ipv4(key, ip, is_sent ? ip->to : ip->from);
        } else {
            struct ipv6_header *ip = data;
            key->family = 6;
            if ((void *)(ip + 1) <= data_end)
                headers = read_ipv6(key, ip, is_sent ? ip->to : ip->from);
        }
        if (is_sent && !own && key->owner == KERNEL && key->protocol == TCP) {
            __u8 flags = 0;
            bpf_skb_load_bytes(packet, headers + 13, &flags, 1);
            if (flags & RESET)
                key->owner = RESETS;
        }
        slot = slot_of_packet(own, key, end);
    }
    struct counter *counter = bpf_map_lookup_elem(&counters, &slot);
    if (!counter)
        return 1;
    int packets = 1;
    if (segments > 1) {
        __u8 words = 0;
        if (key->protocol == TCP)
            bpf_skb_load_bytes(packet, headers + 12, &words, 1);
        headers = (headers + transport_length(key, words)) * (segments - 1);
        if (is_sent && length > LARGEST_TAKEN) { /* it is divided before a device counts it, whatever its kind */
            length += headers;
            packets = segments;
        } else {
            ADD(*(is_sent ? &counter->tx_header_bytes : &counter->rx_header_bytes), headers);
            ADD(*(is_sent ? &counter->tx_segments : &counter->rx_segments), segments - 1);
        }
    }
    ADD(*(is_sent ? &counter->tx_bytes : &counter->rx_bytes), length);
    ADD(*(is_sent ? &counter->tx_packets : &counter->rx_packets), packets);
    return 1;
}
