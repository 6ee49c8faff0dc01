/* SPDX-License-Identifier: MIT */
/*
 * access.h - driving a function: registers, BARs, memory for its DMA, interrupts, reset, removal.
 *
 * The same calls work on every machine that can; p2pdma_machine_caps() says which.  A machine that
 * cannot answers -EOPNOTSUPP.  Where a call says "open", the function was taken with
 * p2pdma_device_open().  A driver's idle loop calls p2pdma_machine_progress() (progress.h).
 */
#ifndef P2PDMA_ACCESS_H
#define P2PDMA_ACCESS_H

#include <p2pdma/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * p2pdma_device_open() - take a function for this process
 * @device: a device
 * @err: filled in on failure; may be NULL
 *
 * Context: Any thread; may block.
 * Return:
 * * 0           - taken; give it back with p2pdma_device_close()
 * * -EBUSY      - it was taken already
 * * -ENODEV     - it is gone
 * * -EOPNOTSUPP - this machine is a picture only
 */
int p2pdma_device_open(struct p2pdma_device *device, struct p2pdma_error *err);

/**
 * p2pdma_device_close() - give a function back
 * @device: an open device, or NULL; nothing happens when it is not open
 *
 * Bus mastering is switched off, then its mappings, BAR maps and interrupts end.
 *
 * Context: No other thread may use what was got from it during or after the call.
 */
void p2pdma_device_close(struct p2pdma_device *device);

/**
 * p2pdma_device_config_write() - write a register of configuration space
 * @device: a device; it need not be open
 * @offset: byte offset, a multiple of @length
 * @length: 1, 2 or 4 bytes
 * @value: what to write
 *
 * What a device reads back is p2pdma_device_config_read()'s business; what
 * p2pdma_device_get_info() and the verdicts know stays as it was when the machine was opened: see
 * p2pdma_machine_refresh().
 *
 * Context: Any thread; may block.
 * Return:
 * * 0           - written
 * * -EINVAL     - not aligned, beyond 4096, or another length
 * * -ENODEV     - the function is gone
 * * -EACCES     - this process may not
 * * -EPERM      - it would switch bus mastering on, and the function was cut off by a revocation: it
 *	has to be reset first
 * * -EOPNOTSUPP - this machine cannot
 */
int p2pdma_device_config_write(struct p2pdma_device *device, size_t offset, size_t length,
                               uint32_t value);

struct p2pdma_bar_map; /* a BAR for CPU loads and stores */

/**
 * p2pdma_bar_map() - map a memory BAR for the CPU
 * @device: an open device; memory decode must be on by the time of the first access
 * @bar: 0 to 5
 * @err: filled in on failure; may be NULL
 * @ret_map: the map; it ends with p2pdma_bar_unmap(), which must come before
 *	p2pdma_device_close()
 *
 * Context: Any thread; may block.
 * Return:
 * * 0           - mapped
 * * -EINVAL     - no such BAR, or no memory
 * * -ENODEV     - the function is gone
 * * -EPERM      - it is not open
 * * -ENOMEM     - out of memory
 * * -EOPNOTSUPP - this machine cannot
 */
int p2pdma_bar_map(struct p2pdma_device *device, int bar, struct p2pdma_error *err,
                   struct p2pdma_bar_map **ret_map);

/**
 * p2pdma_bar_unmap() - end a map
 * @map: a map, or NULL
 *
 * Context: No other thread may use @map during or after the call.
 * Return: NULL.
 */
struct p2pdma_bar_map *p2pdma_bar_unmap(struct p2pdma_bar_map *map);

/**
 * p2pdma_bar_size() - bytes of a mapped BAR
 * @map: a map
 *
 * Context: Any thread.
 * Return: the size.
 */
uint64_t p2pdma_bar_size(const struct p2pdma_bar_map *map);

/**
 * p2pdma_bar_read() - load from a BAR
 * @map: a map
 * @offset: bytes from the start of the BAR
 * @length: bytes; 1, 2, 4 or 8 at a multiple of itself is one access, more is several
 * @ret_bytes: what was read, little endian as it lies there; all ones where nobody answered
 *
 * Context: Any thread; waits for the answer.
 * Return:
 * * 0       - read, or all ones
 * * -EINVAL - outside of the BAR
 */
int p2pdma_bar_read(struct p2pdma_bar_map *map, uint64_t offset, size_t length, void *ret_bytes);

/**
 * p2pdma_bar_write() - store to a BAR
 * @map: a map
 * @offset: as p2pdma_bar_read()
 * @length: as p2pdma_bar_read()
 * @bytes: what to write
 *
 * Stores are posted: they have arrived once a later p2pdma_bar_read() of the same device returns.
 *
 * Context: Any thread; does not wait for the device.
 * Return:
 * * 0       - on its way
 * * -EINVAL - outside of the BAR
 */
int p2pdma_bar_write(struct p2pdma_bar_map *map, uint64_t offset, size_t length, const void *bytes);

/**
 * p2pdma_dma_map() - let a function reach memory of this process
 * @device: an open device
 * @memory: a multiple of 4096; stays the caller's and must outlive the mapping
 * @length: bytes, a multiple of 4096, not 0
 * @op: what the device may do with it
 * @ret_address: what to tell the device
 *
 * Context: Any thread; may block.
 * Return:
 * * 0           - mapped
 * * -EINVAL     - not aligned, no length, or unknown op
 * * -ENODEV     - the function is gone
 * * -EPERM      - it is not open
 * * -ENOSPC     - no IOVA is left
 * * -ENOMEM     - out of memory
 * * -EOPNOTSUPP - this machine cannot
 */
int p2pdma_dma_map(struct p2pdma_device *device, void *memory, size_t length, enum p2pdma_op op,
                   struct p2pdma_dma *ret_address);

/**
 * p2pdma_dma_unmap() - end a mapping
 * @device: the device it was made for
 * @address: what p2pdma_dma_map() gave
 * @length: what p2pdma_dma_map() got
 *
 * Only an IOMMU that translates keeps a device out that goes on: else its DMA still reaches that
 * place, and a simulated machine logs it as stray (sim/observe.h).
 *
 * Context: Any thread; may block.  The device must have stopped using it.
 * Return:
 * * 0       - the mapping is gone; where the IOMMU translates, the device cannot reach the memory
 * * -EINVAL - no such mapping
 * * -EOPNOTSUPP - this machine cannot
 */
int p2pdma_dma_unmap(struct p2pdma_device *device, struct p2pdma_dma address, size_t length);

/**
 * p2pdma_device_irq() - take the interrupts of a vector
 * @device: an open device
 * @vector: MSI-X vector, 0 to what its table holds
 * @fd: an eventfd that each interrupt adds 1 to, the caller's; -1: no more interrupts
 *
 * Context: Any thread; may block.
 * Return:
 * * 0           - done
 * * -EINVAL     - no such vector
 * * -ENODEV     - the function is gone
 * * -EPERM      - it is not open
 * * -EOPNOTSUPP - this machine cannot
 */
int p2pdma_device_irq(struct p2pdma_device *device, unsigned int vector, int fd);

/**
 * p2pdma_device_reset() - reset a function
 * @device: an open device
 * @err: filled in on failure; may be NULL
 *
 * Function level reset where it has one, else its link's, if nobody else is on it.  Its registers
 * in configuration space are put back as they were; what its BARs held is undefined.
 *
 * Context: Any thread; takes 100 ms of the machine's time.
 * Return:
 * * 0           - reset
 * * -ENODEV     - the function is gone
 * * -EPERM      - it is not open
 * * -ENOTTY     - it cannot be reset alone
 * * -EOPNOTSUPP - this machine cannot
 */
int p2pdma_device_reset(struct p2pdma_device *device, struct p2pdma_error *err);

#ifdef __cplusplus
}
#endif

#endif
