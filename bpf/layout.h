/* What user space reads; `sources/applications/kernel.py` says the same in Python. */
#pragma once

#define SLOTS 16384          /* counters */
#define OVERFLOW_SLOTS 256   /* the first ones count, by interface, what no slot of its own could be had for */
#define OWNERS 16384

/* Owners below FIRST_OWNER are none: what the kernel sends by itself, what passes through, and sockets of which nothing
 * is known. */
#define KERNEL 0
#define FORWARDED 1
#define UNNAMED 2
#define RESETS 3          /* of TCP, which the kernel sends for sockets that are not there */
#define KERNEL_SOCKETS 4
#define FIRST_OWNER 16

enum scope { LOOPBACK, LAN, LINK, INTERNET };

struct key {
    __u64 owner;
    __u64 netns;      /* cookie of the network namespace */
    __u32 ifindex;
    __u8 scope;       /* by the remote address */
    __u8 protocol;    /* of IP; 0 where it is none */
    __u8 family;      /* 4, 6, or 0 for anything else, as ARP */
    __u8 used;        /* 1 once the rest is written */
};

/* Bytes are those of the network layer on receive, of the frame on transmit; before queueing, of the network layer
 * either way. A packet that a device divides counts once; what the division adds is beside it: further packets, and the
 * bytes of their headers. */
struct counter {
    __u64 rx_bytes, tx_bytes, rx_packets, tx_packets;
    __u64 rx_header_bytes, tx_header_bytes, rx_segments, tx_segments;
};

#define PATH_PARTS 8
#define PART_LENGTH 48
#define SCRIPT_LENGTH 256
#define CGROUP_PARTS 5
#define CGROUP_LENGTH 96

struct owner {
    __u64 exe_inode;
    __u64 cgroup;
    __u32 exe_device, uid, tgid;
    __u32 taken;                              /* while it is written: another program may begin in the middle of one */
    char comm[16];                            /* of the thread group's leader; before queueing, of the thread */
    char script[SCRIPT_LENGTH];               /* of an interpreter: the first argument that is no option */
    char path[PATH_PARTS][PART_LENGTH];       /* of the executable, the last part first */
    char cgroup_path[CGROUP_PARTS][CGROUP_LENGTH]; /* likewise; before queueing it is not known */
};

struct state {
    __u64 slots_used;          /* the next free one */
    __u64 overflows;           /* packets without a slot of their own */
    __u64 nameless;            /* owners for whose description there was no room */
    __u64 without_storage;     /* sockets that could not be given an owner */
    __u64 born;                /* a number that who loaded the programs chose: another life has another one */
};
