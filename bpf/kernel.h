/* The few kernel types that the programs touch. Names are the kernel's; which field is where is found by the kernel
 * itself when it loads the programs (CO-RE), so that only what is used has to be written down, and no header of a
 * certain kernel is needed. */
#pragma once

#include "types.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct super_block {
    __u32 s_dev;
};
struct inode {
    unsigned long i_ino;
    struct super_block *i_sb;
};
struct qstr {
    const unsigned char *name;
};
struct dentry {
    struct dentry *d_parent;
    struct qstr d_name;
};
struct path {
    struct dentry *dentry;
};
struct file {
    struct path f_path;
    struct inode *f_inode;
};
struct mm_struct {
    struct file *exe_file;
    unsigned long arg_start, arg_end;
};
typedef struct {
    __u32 val;
} kuid_t;
struct cred {
    kuid_t uid;
};
struct kernfs_node {
    const char *name;
    __u64 id;
    struct kernfs_node *parent;
};
struct kernfs_node___since_6_15 {
    struct kernfs_node *__parent;
};
struct cgroup {
    struct kernfs_node *kn;
};
struct css_set {
    struct cgroup *dfl_cgrp;
};
struct task_struct {
    struct task_struct *group_leader;
    struct mm_struct *mm;
    const struct cred *cred;
    struct css_set *cgroups;
    __u64 self_exec_id, start_boottime;
    int tgid;
    char comm[16];
};

struct net {
    __u64 net_cookie;
};
typedef struct {
    struct net *net;
} possible_net_t;
struct sock_common {
    unsigned short skc_family;
    unsigned char skc_state;
    possible_net_t skc_net;
};
struct socket;
struct sock {
    struct sock_common __sk_common;
    __u16 sk_type;
    struct socket *sk_socket;
};
struct mptcp_sock;
struct socket {
    struct file *file;
    struct sock *sk;
};
struct net_device {
    int ifindex;
    possible_net_t nd_net;
};
struct sk_buff {
    struct sock *sk;
    unsigned int len;
    int skb_iif;
    __be16 protocol;
    __u16 network_header;
    unsigned int end;
    unsigned char *head, *data;
};
struct skb_shared_info {
    unsigned short gso_segs;
};

struct seq_file;
struct bpf_iter_meta {
    struct seq_file *seq;
};
struct bpf_iter__task_file {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
    __u32 fd;
    struct file *file;
};

#pragma clang attribute pop
