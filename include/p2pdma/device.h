/* SPDX-License-Identifier: MIT */
/*
 * device.h - one PCI function of a machine.
 *
 * Devices belong to their machine and live as long as it does.  Everything here may be called from
 * any thread, and but for p2pdma_device_config_read() tells how it was when the machine was opened.
 */
#ifndef P2PDMA_DEVICE_H
#define P2PDMA_DEVICE_H

#include <p2pdma/machine.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum p2pdma_kind - what a function is in the fabric (PCIe Base 7.5.3.2, Device/Port Type)
 * @P2PDMA_KIND_UNKNOWN: the capability that says it was not captured
 * @P2PDMA_KIND_ENDPOINT: PCIe or legacy endpoint, behind a link
 * @P2PDMA_KIND_RC_ENDPOINT: root complex integrated endpoint or event collector
 * @P2PDMA_KIND_ROOT_PORT: root port
 * @P2PDMA_KIND_UPSTREAM_PORT: upstream port of a switch
 * @P2PDMA_KIND_DOWNSTREAM_PORT: downstream port of a switch
 * @P2PDMA_KIND_PCIE_TO_PCI: PCIe-to-PCI/PCI-X bridge
 * @P2PDMA_KIND_PCI_TO_PCIE: PCI/PCI-X-to-PCIe bridge
 * @P2PDMA_KIND_PCI_BRIDGE: conventional PCI-to-PCI bridge
 * @P2PDMA_KIND_PCI: conventional PCI function
 */
enum p2pdma_kind {
	P2PDMA_KIND_UNKNOWN,
	P2PDMA_KIND_ENDPOINT,
	P2PDMA_KIND_RC_ENDPOINT,
	P2PDMA_KIND_ROOT_PORT,
	P2PDMA_KIND_UPSTREAM_PORT,
	P2PDMA_KIND_DOWNSTREAM_PORT,
	P2PDMA_KIND_PCIE_TO_PCI,
	P2PDMA_KIND_PCI_TO_PCIE,
	P2PDMA_KIND_PCI_BRIDGE,
	P2PDMA_KIND_PCI,
};

/**
 * struct p2pdma_device_info - what is known of a function
 * @size: set by the caller to sizeof(struct p2pdma_device_info); the struct grows at its end
 * @index: its index in the machine
 * @bdf: its address
 * @vendor: vendor ID; a VF's is its PF's
 * @device: device ID; a VF's is its PF's VF Device ID
 * @subsystem_vendor: subsystem vendor ID, 0 when none
 * @subsystem_device: subsystem ID, 0 when none
 * @class_code: base class, subclass and programming interface (24 bits)
 * @header_type: 0 function, 1 bridge, 2 CardBus bridge, 0x7f when configuration space is all ones
 * @kind: what it is in the fabric
 * @is_vf: it is an SR-IOV virtual function
 * @config_len: bytes of configuration space known
 * @iommu_group: group number, or -1
 * @iommu: what the IOMMU does to its requests
 * @numa_node: node, or -1
 * @driver: driver bound to it, or NULL when none or not known
 */
struct p2pdma_device_info {
	size_t size;
	size_t index;
	struct p2pdma_bdf bdf;
	uint16_t vendor;
	uint16_t device;
	uint16_t subsystem_vendor;
	uint16_t subsystem_device;
	uint32_t class_code;
	uint8_t header_type;
	enum p2pdma_kind kind;
	bool is_vf;
	size_t config_len;
	int iommu_group;
	enum p2pdma_iommu iommu;
	int numa_node;
	const char *driver;
};

/**
 * p2pdma_device_get_info() - facts of a function
 * @device: a device
 * @ret_info: filled up to ret_info->size, which the caller sets; strings belong to the machine
 *
 * Return:
 * * 0       - filled
 * * -EINVAL - ret_info->size is smaller than the first published struct
 */
int p2pdma_device_get_info(const struct p2pdma_device *device, struct p2pdma_device_info *ret_info);

/**
 * p2pdma_device_parent() - the bridge above a function
 * @device: a device; a VF has its PF's parent, never the PF (as pci_upstream_bridge() in Linux)
 *
 * Return: the bridge, or NULL on a root bus.
 */
struct p2pdma_device *p2pdma_device_parent(const struct p2pdma_device *device);

/**
 * p2pdma_device_physfn() - the PF of a VF
 * @device: a device
 *
 * Return: the PF, or NULL when @device is no VF.
 */
struct p2pdma_device *p2pdma_device_physfn(const struct p2pdma_device *device);

/**
 * p2pdma_device_root_bus() - the root bus a function lies below
 * @device: a device
 *
 * A root bus is a host bridge; functions of class 0600 are not counted as such.
 *
 * Return: domain and bus, devfn 0.
 */
struct p2pdma_bdf p2pdma_device_root_bus(const struct p2pdma_device *device);

/**
 * p2pdma_device_name() - name of a block, network or other device below a function
 * @device: a device
 * @index: 0, 1, ...
 *
 * Return: the name ("nvme0n1", "eth0"), owned by the machine; NULL past the last.
 */
const char *p2pdma_device_name(const struct p2pdma_device *device, size_t index);

/**
 * p2pdma_device_config_read() - read configuration space
 * @device: a device
 * @offset: byte offset, 0 to 4095
 * @length: bytes
 * @ret_bytes: @length bytes as they lie in configuration space (little endian)
 *
 * As they are now, where the machine can be asked (it may block), else as it was opened.
 *
 * Return:
 * * 0        - read
 * * -ENODEV  - the function is gone
 * * -EINVAL  - beyond 4096
 * * -ENODATA - the machine does not hold these bytes: unknown, not absent
 */
int p2pdma_device_config_read(const struct p2pdma_device *device, size_t offset, size_t length,
                              void *ret_bytes);

/**
 * struct p2pdma_bar - a memory or I/O range of a function
 * @bus: address in the register; {0} when unassigned
 * @phys: CPU physical address; valid when @size is not 0
 * @size: bytes, 0 when not known (configuration space alone does not tell)
 * @is_memory: memory, not I/O
 * @is_64bit: 64-bit register pair
 * @is_prefetchable: no read side effects
 */
struct p2pdma_bar {
	struct p2pdma_bus bus;
	struct p2pdma_phys phys;
	uint64_t size;
	bool is_memory;
	bool is_64bit;
	bool is_prefetchable;
};

/**
 * p2pdma_device_bar() - one BAR of a function
 * @device: a device; a VF's range is cut out of its PF's VF BAR (and begins with it without a size)
 * @bar: 0 to 5 (0 and 1 for a bridge)
 * @ret_bar: the range
 *
 * Return:
 * * 0        - the BAR is implemented
 * * -ENOENT  - it is not (reads zero), or is the upper half of a 64-bit BAR
 * * -EINVAL  - @bar is out of range for this header type
 * * -ENODATA - the registers were not captured
 */
int p2pdma_device_bar(const struct p2pdma_device *device, int bar, struct p2pdma_bar *ret_bar);

/**
 * struct p2pdma_acs - Access Control Services of a function (PCIe Base 6.12, 7.7.11)
 * @known: P2PDMA_UNKNOWN: not captured; P2PDMA_NO: no such capability; P2PDMA_YES: as follows
 * @capability: ACS Capability register
 * @control: ACS Control register, as the wire obeys it (with the layout quirk of Intel's
 *	100/200-series PCH root ports applied)
 */
struct p2pdma_acs {
	enum p2pdma_known known;
	uint16_t capability;
	uint16_t control;
};

/* Bits of both ACS registers, in lspci's words (PCIe Base 7.7.11.2 and 7.7.11.3). */
#define P2PDMA_ACS_SRC_VALID    0x01
#define P2PDMA_ACS_TRANS_BLK    0x02
#define P2PDMA_ACS_REQ_REDIR    0x04
#define P2PDMA_ACS_CMPLT_REDIR  0x08
#define P2PDMA_ACS_UPSTREAM_FWD 0x10
#define P2PDMA_ACS_EGRESS_CTRL  0x20
#define P2PDMA_ACS_DIRECT_TRANS 0x40

/**
 * p2pdma_device_acs() - a function's ACS registers
 * @device: a device
 *
 * Return: the registers, or that they are absent or unknown.
 */
struct p2pdma_acs p2pdma_device_acs(const struct p2pdma_device *device);

/**
 * struct p2pdma_link - a function's PCIe link, from its Link Capabilities and Link Status
 * @max_speed: 1 for 2.5 GT/s, 2 for 5, 3 for 8, 4 for 16, 5 for 32, 6 for 64; 0 not known
 * @max_width: lanes, 0 not known
 * @speed: trained speed, as @max_speed
 * @width: trained lanes, 0 when the link is down or not known
 */
struct p2pdma_link {
	uint8_t max_speed;
	uint8_t max_width;
	uint8_t speed;
	uint8_t width;
};

/**
 * p2pdma_device_link() - the link above an endpoint or upstream port, or below another port
 * @device: a device
 * @ret_link: the link
 *
 * Return:
 * * 0        - read
 * * -ENOENT  - the function has no link (conventional, or integrated in the root complex)
 * * -ENODATA - its capability was not captured
 */
int p2pdma_device_link(const struct p2pdma_device *device, struct p2pdma_link *ret_link);

/**
 * p2pdma_device_bus_range() - the buses below a bridge
 * @device: a device
 * @ret_secondary: the bus right below
 * @ret_subordinate: the highest bus below
 *
 * Return:
 * * 0       - read
 * * -ENOENT - @device is no bridge
 */
int p2pdma_device_bus_range(const struct p2pdma_device *device, uint8_t *ret_secondary,
                            uint8_t *ret_subordinate);

#ifdef __cplusplus
}
#endif

#endif
