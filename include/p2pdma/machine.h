/* SPDX-License-Identifier: MIT */
/*
 * machine.h - a computer's PCI world: this one, a captured one, or a simulated one.
 *
 * What is opened does not change afterwards: it is the machine as it was then (progress.h has
 * p2pdma_machine_refresh() for a new picture).  All pointers got from a machine belong to it and
 * live until p2pdma_machine_close().
 */
#ifndef P2PDMA_MACHINE_H
#define P2PDMA_MACHINE_H

#include <p2pdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_machine;
struct p2pdma_device;

/**
 * enum p2pdma_cap - what a machine can do; a bit mask
 * @P2PDMA_CAP_CONFIG: the first 64 bytes at least of every function's configuration space
 * @P2PDMA_CAP_EXT_CONFIG: some function's space beyond byte 256 can be read, so ACS is visible
 * @P2PDMA_CAP_BAR_MAP: BARs can be mapped, configuration space written and functions reset
 * @P2PDMA_CAP_DMA: functions can be given memory of this process, and interrupts be taken
 * @P2PDMA_CAP_IOMMU: an IOMMU translates what they do
 * @P2PDMA_CAP_HOTPLUG: functions that come and go are told by p2pdma_machine_event()
 * @P2PDMA_CAP_TIME: it has a clock of its own, which only p2pdma_machine_progress() moves
 */
enum p2pdma_cap {
	P2PDMA_CAP_CONFIG = 1 << 0,
	P2PDMA_CAP_EXT_CONFIG = 1 << 1,
	P2PDMA_CAP_BAR_MAP = 1 << 2,
	P2PDMA_CAP_DMA = 1 << 3,
	P2PDMA_CAP_IOMMU = 1 << 4,
	P2PDMA_CAP_HOTPLUG = 1 << 5,
	P2PDMA_CAP_TIME = 1 << 6,
};

/**
 * enum p2pdma_iommu - what the IOMMU does to a function's requests
 * @P2PDMA_IOMMU_UNKNOWN: not recorded
 * @P2PDMA_IOMMU_NONE: no IOMMU in the path
 * @P2PDMA_IOMMU_PASSTHROUGH: present, untranslated ("identity" in sysfs)
 * @P2PDMA_IOMMU_TRANSLATED: requests are translated
 */
enum p2pdma_iommu {
	P2PDMA_IOMMU_UNKNOWN,
	P2PDMA_IOMMU_NONE,
	P2PDMA_IOMMU_PASSTHROUGH,
	P2PDMA_IOMMU_TRANSLATED,
};

/**
 * struct p2pdma_machine_info - what is known of the machine as a whole
 * @size: set by the caller to sizeof(struct p2pdma_machine_info); the struct grows at its end
 * @source: what p2pdma_machine_open() was given
 * @kernel: release as uname prints it ("6.12.41-amd64"), or NULL
 * @kernel_p2pdma: whether that kernel was built with CONFIG_PCI_P2PDMA
 * @arch: machine as uname prints it ("x86_64"), or NULL
 * @cpu_vendor: vendor string of CPU 0 ("GenuineIntel", "AuthenticAMD"), or NULL
 * @cpu_family: family of CPU 0 as /proc/cpuinfo prints it, or -1
 * @hypervisor: name of the hypervisor this machine is a guest of ("qemu", "kvm"), "none" for
 *	bare metal, NULL when not known
 * @privileged: P2PDMA_NO when configuration space was cut short for lack of privilege
 */
struct p2pdma_machine_info {
	size_t size;
	const char *source;
	const char *kernel;
	enum p2pdma_known kernel_p2pdma;
	const char *arch;
	const char *cpu_vendor;
	int cpu_family;
	const char *hypervisor;
	enum p2pdma_known privileged;
};

/**
 * p2pdma_machine_open() - open a machine by its description
 * @spec: "live:" or "live:root=DIR" (sysfs and procfs below DIR); "capture:FILE" (`lspci -x`,
 *	`-xxx`, `-xxxx` text or JSON written by p2pdma_machine_dump(); "capture:-" reads standard
 *	input); "sim:FILE" (a fabric file or a capture, docs/simulator.md);
 *	"fault:nth=N[,op=NAME][,errno=NAME],MACHINE" (MACHINE, but the N-th question it is asked
 *	fails: for tests)
 * @err: filled in on failure; may be NULL
 * @ret_machine: the machine; release with p2pdma_machine_close()
 *
 * Context: Any thread.  Reads files; may block on them.
 * Return:
 * * 0       - opened
 * * -EINVAL - @spec names no known kind of machine, or has an unknown option
 * * -EPROTO - the input is not in a format this library reads; @err names file, line, expectation
 * * -ENODEV - the machine has no PCI function
 * * -E2BIG  - the input is larger than the stated limits (docs/formats.md)
 * * -ENOMEM - out of memory
 * * other   - the errno of the failed open or read
 */
int p2pdma_machine_open(const char *spec, struct p2pdma_error *err,
                        struct p2pdma_machine **ret_machine);

/**
 * p2pdma_machine_close() - release a machine and everything got from it
 * @machine: machine, or NULL
 *
 * With its last picture its providers are dead; references, buffers, mappings and attachments are
 * still to be given back.
 *
 * Context: No other thread may use @machine or its devices during or after the call.
 * Return: NULL, so that a pointer can be cleared in one line.
 */
struct p2pdma_machine *p2pdma_machine_close(struct p2pdma_machine *machine);

/**
 * p2pdma_machine_caps() - what this machine can do
 * @machine: an open machine
 *
 * Context: Any thread.
 * Return: a mask of enum p2pdma_cap.
 */
unsigned int p2pdma_machine_caps(const struct p2pdma_machine *machine);

/**
 * p2pdma_machine_get_info() - facts of the machine as a whole
 * @machine: an open machine
 * @ret_info: filled up to ret_info->size, which the caller sets; strings belong to the machine
 *
 * Context: Any thread.
 * Return:
 * * 0       - filled
 * * -EINVAL - ret_info->size is smaller than the first published struct
 */
int p2pdma_machine_get_info(const struct p2pdma_machine *machine,
                            struct p2pdma_machine_info *ret_info);

/**
 * p2pdma_machine_device_count() - number of PCI functions
 * @machine: an open machine
 *
 * Context: Any thread.
 * Return: the count, never 0.
 */
size_t p2pdma_machine_device_count(const struct p2pdma_machine *machine);

/**
 * p2pdma_machine_device() - a function by its index
 * @machine: an open machine
 * @index: 0 to count - 1, in the order of the tree: each bridge before what is below it, siblings
 *	by address.  The same index names the function in p2pdma_routes_row().
 *
 * Context: Any thread.
 * Return: the device, owned by the machine; NULL when @index is out of range.
 */
struct p2pdma_device *p2pdma_machine_device(const struct p2pdma_machine *machine, size_t index);

/**
 * p2pdma_machine_find() - a function by its address
 * @machine: an open machine
 * @bdf: address
 * @ret_device: the device, owned by the machine
 *
 * Context: Any thread.
 * Return:
 * * 0       - found
 * * -ENODEV - the machine has no such function
 */
int p2pdma_machine_find(const struct p2pdma_machine *machine, struct p2pdma_bdf bdf,
                        struct p2pdma_device **ret_device);

/**
 * p2pdma_machine_resolve() - a function by a name a person would type
 * @machine: an open machine
 * @name: "0000:03:00.0", "03:00.0" (domain 0), "/dev/nvme0n1", "nvme0n1", a network device, or a
 *	path below /sys, which is climbed to its nearest PCI function (as the kernel's
 *	pci_p2pdma_distance_many() climbs from a client to its parent)
 * @err: filled in on failure; may be NULL
 * @ret_device: the device, owned by the machine
 *
 * Context: Any thread.  On a live machine, follows links in sysfs.
 * Return:
 * * 0       - found
 * * -EINVAL - @name is empty or no such kind of name
 * * -ENODEV - no function of this machine goes by that name
 * * -ENOTUNIQ - more than one does
 */
int p2pdma_machine_resolve(const struct p2pdma_machine *machine, const char *name,
                           struct p2pdma_error *err, struct p2pdma_device **ret_device);

/**
 * enum p2pdma_dump_flags - what p2pdma_machine_dump() leaves out
 * @P2PDMA_DUMP_REDACT: the number in each Device Serial Number capability, and the names of block
 *	and network devices (docs/formats.md says what stays)
 */
enum p2pdma_dump_flags {
	P2PDMA_DUMP_REDACT = 1 << 0,
};

/**
 * p2pdma_machine_dump() - write the machine as a JSON capture (docs/formats.md)
 * @machine: an open machine of any kind
 * @flags: mask of enum p2pdma_dump_flags
 * @ret_text: NUL-terminated text; the caller frees it with free()
 *
 * Reading the text back with "capture:" gives the same verdicts.
 *
 * Context: Any thread.
 * Return:
 * * 0       - written
 * * -EINVAL - unknown flag
 * * -ENOMEM - out of memory
 */
int p2pdma_machine_dump(const struct p2pdma_machine *machine, unsigned int flags, char **ret_text);

#ifdef __cplusplus
}
#endif

#endif
