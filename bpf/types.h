/* What both sets of programs need of types: none of them is the kernel's own. */
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u16 __sum16;
typedef __u32 __wsum;

#include <linux/bpf.h>

/* On the wire, so of one shape everywhere. */
struct ipv4_header {
    __u8 version_and_length, service;
    __be16 total_length, id, fragment;
    __u8 ttl, protocol;
    __sum16 check;
    __be32 from, to;
};
struct ipv6_header {
    __be32 version_and_flow;
    __be16 payload_length;
    __u8 next_header, hop_limit;
    __be32 from[4], to[4];
};
