/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - a provider's memory as the CPU reaches it: loads and stores that keep MMIO's rules.
 *
 * Concepts:
 * - Every access is aligned to its width and inside of the buffer; copies use the widest there are.
 * - Stores are posted.  They have arrived, and other devices may be told of them, once
 * p2pmem_flush() or a later read of the same buffer has returned 0, on the thread that stored.
 * - Loads are slow, 100 times those of ordinary memory: let devices do the copying.
 * - A function that is gone reads as all ones.  Where that is what was read last, its Command and
 *   Status registers are looked at, which cannot be all ones, and the error is told.  Stores are lost silently until then.
 */
#ifndef P2PDMA_CPU_H
#define P2PDMA_CPU_H

#include <p2pdma/p2pmem.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * p2pmem_read() - load a register-sized value
 * @buf: a buffer
 * @offset: bytes from its start, a multiple of @width
 * @width: 1, 2, 4 or 8 bytes
 * @ret_value: the value, as the CPU's number (the memory is little endian)
 *
 * Context: Any thread; waits for the device.
 * Return:
 * * 0           - read
 * * -EINVAL     - not aligned, outside of @buf, or @buf is in no provider's memory
 * * -ENODEV     - the function is gone, or the provider revoked or dead
 * * -EPERM      - the function is not open any more
 * * -ENOMEM     - out of memory, at the first access
 * * -EOPNOTSUPP - this machine cannot map BARs
 */
int p2pmem_read(struct p2pmem_buf buf, uint64_t offset, size_t width, uint64_t *ret_value);

/**
 * p2pmem_write() - store a register-sized value
 * @buf: a buffer
 * @offset: as p2pmem_read()
 * @width: as p2pmem_read()
 * @value: the value
 *
 * Context: Any thread; does not wait for the device.
 * Return: as p2pmem_read(); 0: on its way.
 */
int p2pmem_write(struct p2pmem_buf buf, uint64_t offset, size_t width, uint64_t value);

/**
 * p2pmem_copy_to() - copy into a buffer
 * @buf: a buffer
 * @offset: bytes from its start
 * @bytes: what
 * @length: how many
 *
 * In the order of addresses.
 *
 * Context: Any thread; does not wait for the device.
 * Return: as p2pmem_write().
 */
int p2pmem_copy_to(struct p2pmem_buf buf, uint64_t offset, const void *bytes, size_t length);

/**
 * p2pmem_copy_from() - copy out of a buffer
 * @buf: a buffer
 * @offset: bytes from its start
 * @length: how many
 * @ret_bytes: @length bytes; undefined on failure
 *
 * Context: Any thread; waits for the device.
 * Return: as p2pmem_read().
 */
int p2pmem_copy_from(struct p2pmem_buf buf, uint64_t offset, size_t length, void *ret_bytes);

/**
 * p2pmem_set() - fill a part of a buffer with a byte
 * @buf: a buffer
 * @offset: bytes from its start
 * @length: how many
 * @byte: with what
 *
 * Context: Any thread; does not wait for the device.
 * Return: as p2pmem_write().
 */
int p2pmem_set(struct p2pmem_buf buf, uint64_t offset, uint64_t length, uint8_t byte);

/**
 * p2pmem_flush() - wait until this thread's stores have arrived
 * @buf: a buffer that was stored to
 *
 * Fences, then reads back from the buffer: the read pushes the stores ahead of it (PCIe
 * Base 2.4.1).
 *
 * Context: The thread that stored; waits for the device.
 * Return: as p2pmem_read().
 */
int p2pmem_flush(struct p2pmem_buf buf);

/**
 * p2pmem_mmap() - a buffer as memory of this process
 * @buf: a buffer; its bus address and size are multiples of 4096
 * @ret_memory: the memory; p2pmem_munmap() ends it
 *
 * For those who ask: the rules above are then the program's to keep.  It counts as an importer:
 * when the provider is revoked or ends the pages are replaced in place by ordinary ones that read
 * as all ones, and put back when it is restored, so that no access ends in SIGBUS; what is between
 * the device's end and the library's learning of it is p2pdma_sigbus()'s.  On a simulated machine
 * accesses take no time and no TLP.
 *
 * Context: Any thread; may block.
 * Return:
 * * 0           - mapped
 * * -EINVAL     - no multiple of 4096, or @buf is in no provider's memory
 * * -ENODEV     - the provider is revoked or dead, or the function gone
 * * -EPERM      - the function is not open any more
 * * -ENOMEM     - out of memory
 * * -EOPNOTSUPP - this machine, or the model behind the BAR, has no pages to show
 */
int p2pmem_mmap(struct p2pmem_buf buf, void **ret_memory);

/**
 * p2pmem_munmap() - end what p2pmem_mmap() began
 * @buf: the buffer
 * @memory: the memory
 *
 * Context: Any thread; no other may touch @memory during or after the call.
 * Return: 0; -EINVAL: not what p2pmem_mmap() gave for @buf.
 */
int p2pmem_munmap(struct p2pmem_buf buf, void *memory);

/**
 * p2pdma_sigbus() - for a program's own SIGBUS handler: was it one of p2pmem_mmap()'s pages?
 * @machine: an open machine
 * @address: siginfo->si_addr
 *
 * If so the whole map is replaced by memory that reads as all ones, and the handler may return. The
 * library installs no handler.
 *
 * Context: Any thread, in a signal handler too.
 * Return: true: replaced; false: not ours, somebody else's business.
 */
bool p2pdma_sigbus(struct p2pdma_machine *machine, const void *address);

#ifdef __cplusplus
}
#endif

#endif
