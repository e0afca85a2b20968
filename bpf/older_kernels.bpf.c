/* The same for Linux 5.17 to 6.2, which do not say when a socket is used: it stays with who made it, and the parts of
 * MPTCP connections are the kernel's. */
#define OLDER_KERNELS
#include "applications.bpf.c"
