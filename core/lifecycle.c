/* SPDX-License-Identifier: MIT */
/*
 * lifecycle.c - what is done to a function by which its memory, or its use of others', ends: opened
 * and closed, reset, registers that switch it off.
 *
 * Who lends its memory is asked first to take it back (Linux: vfio_pci_dma_buf_move()).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "provider.h"
#include "report.h"
#include <p2pdma/access.h>

#define COMMAND           0x04
#define COMMAND_MEMORY    0x0002
#define COMMAND_MASTER    0x0004
#define CAPABILITIES      0x34
#define FIRST_CAPABILITY  0x40
#define MOST_CAPABILITIES 48
#define FIRST_EXTENDED    0x100
#define MOST_EXTENDED     480
#define CAP_AF            0x13
#define PM_CONTROL        0x04
#define PM_STATE          0x3
#define EXP_CAP           0x04
#define EXP_CAP_FLR       0x10000000
#define EXP_CONTROL       0x08
#define EXP_CONTROL_FLR   0x8000
#define EXP_STATUS        0x0a
#define EXP_PENDING       0x0020
#define AF_CAP            0x03
#define AF_CAP_FLR        0x02
#define AF_CONTROL        0x04
#define AF_FLR            0x01
#define SRIOV_CONTROL     0x08
#define SRIOV_BARS        0x24
#define SRIOV_BARS_END    0x3c
#define BARS              0x10
#define BARS_END          0x28
#define BRIDGE_BARS_END   0x18
#define BRIDGE_CONTROL    0x3e
#define BRIDGE_RESET      0x40
#define EXP_LINK_CONTROL  0x10
#define EXP_LINK_DISABLE  0x10
#define SRIOV_ENABLE      0x0001
#define SRIOV_MEMORY      0x0008
#define LOOK_AGAIN        1000000 /* ns */
#define MOST_TRIES        3

/* ---- registers as they are now ---- */

/* All ones where nobody answers. */
static uint32_t load(struct backend *backend, struct p2pdma_bdf bdf, size_t offset, size_t length)
{
	uint8_t bytes[4] = { 0xff, 0xff, 0xff, 0xff };
	uint32_t value = 0;

	if (backend->ops.config_read(backend->private, bdf, offset, length, bytes))
		memset(bytes, 0xff, sizeof(bytes));
	for (size_t i = 0; i < length; i++)
		value |= (uint32_t)bytes[i] << (8 * i);
	return value;
}

/* 0: it has none. */
static size_t find_cap(struct backend *backend, struct p2pdma_bdf bdf, uint8_t id)
{
	size_t at = load(backend, bdf, CAPABILITIES, 1) & 0xfc;

	for (int i = 0; i < MOST_CAPABILITIES && at >= FIRST_CAPABILITY; i++) {
		uint32_t header = load(backend, bdf, at, 2);

		if (header == 0xffff)
			return 0;
		if ((header & 0xff) == id)
			return at;
		at = header >> 8 & 0xfc;
	}
	return 0;
}

static size_t find_ext(struct backend *backend, struct p2pdma_bdf bdf, uint16_t id)
{
	size_t at = FIRST_EXTENDED;

	for (int i = 0; i < MOST_EXTENDED && at >= FIRST_EXTENDED; i++) {
		uint32_t header = load(backend, bdf, at, 4);

		if (!header || header == UINT32_MAX)
			return 0;
		if ((header & 0xffff) == id)
			return at;
		at = header >> 20 & 0xffc;
	}
	return 0;
}

static bool is_awake(struct backend *backend, struct p2pdma_bdf bdf)
{
	size_t pm = find_cap(backend, bdf, PCICAP_ID_PM);

	return !pm || !(load(backend, bdf, pm + PM_CONTROL, 2) & PM_STATE);
}

bool memory_is_enabled(struct backend *backend, struct p2pdma_bdf bdf, struct p2pdma_bdf decoder)
{
	uint32_t command = load(backend, bdf, COMMAND, 4);
	size_t sriov;

	if (command == UINT32_MAX || !is_awake(backend, bdf))
		return false;
	if (is_same_bdf(bdf, decoder))
		return command & COMMAND_MEMORY;
	/* A VF's memory decode is its PF's VF MSE (PCIe Base 9.3.3.3.4). */
	sriov = find_ext(backend, decoder, PCICAP_EXT_SRIOV);
	return sriov && is_awake(backend, decoder) &&
	       load(backend, decoder, sriov + SRIOV_CONTROL, 2) & SRIOV_MEMORY;
}

/* ---- open and closed ---- */

int p2pdma_device_open(struct p2pdma_device *device, struct p2pdma_error *err)
{
	struct backend *backend = device->machine->backend;
	struct peers *peers = backend->peers;
	struct opened *opened = calloc(1, sizeof(*opened));
	int r;

	if (!opened)
		return report(err, -ENOMEM, "%s", strerror(ENOMEM));
	opened->bdf = device->function->bdf;
	opened->since = peers_time(peers);
	r = backend->ops.device_open(backend->private, opened->bdf, err);
	if (r) {
		free(opened);
		return r;
	}
	mutex_lock(&peers->lock);
	opened->serial = ++peers->serial;
	opened->is_cut_off = peers_is_cut_off(peers, opened->bdf);
	opened->next = peers->opened;
	peers->opened = opened;
	mutex_unlock(&peers->lock);
	peers_stir(peers);
	return 0;
}

static void end_providers(struct peers *peers, struct p2pdma_bdf bdf)
{
	struct p2pdma_provider *provider = NULL;

	while ((provider = provider_next(peers, &bdf, provider)))
		if (is_same_bdf(provider->bdf, bdf))
			provider_end(provider, peers_time(peers) + P2PDMA_REVOKE_PATIENCE, NULL);
}

void p2pdma_device_close(struct p2pdma_device *device)
{
	struct p2pdma_bdf bdf;
	struct backend *backend;
	struct opened **at, *opened;

	if (!device)
		return;
	bdf = device->function->bdf;
	backend = device->machine->backend;
	end_providers(backend->peers, bdf);
	/* In one step: who opens it next is not to be taken for who is closed. */
	mutex_lock(&backend->peers->lock);
	backend->ops.device_close(backend->private, bdf);
	for (at = &backend->peers->opened; *at && !is_same_bdf((*at)->bdf, bdf); at = &(*at)->next)
		;
	opened = *at;
	if (opened)
		*at = opened->next;
	/* Who is cut off stays so, whoever opens it next. */
	if (opened && opened->is_cut_off && !peers_is_cut_off(backend->peers, bdf)) {
		opened->next = backend->peers->off;
		backend->peers->off = opened;
		opened = NULL;
	}
	mutex_unlock(&backend->peers->lock);
	free(opened);
	peers_stir(backend->peers);
}

/* ---- switched off and on ---- */

/* What a write to configuration space does to memory. */
enum effect {
	EFFECT_NONE,
	EFFECT_OFF,      /* the function's may be out of reach, or elsewhere, afterwards */
	EFFECT_VFS_OFF,  /* its VFs' */
	EFFECT_VFS_GONE, /* and come back with other contents (PCIe Base 9.3.3.3.1) */
	EFFECT_SLEEP,    /* the function's and its VFs', contents lost (PCIe Base 5.3.1.4) */
	EFFECT_RESET,
};

static bool concerns(enum effect effect, const struct p2pdma_provider *provider,
                     struct p2pdma_bdf bdf)
{
	bool is_own = is_same_bdf(provider->bdf, bdf);

	return effect >= EFFECT_SLEEP || (effect == EFFECT_OFF && is_own) ||
	       ((effect == EFFECT_VFS_OFF || effect == EFFECT_VFS_GONE) && !is_own);
}

static void suspend_all(struct peers *peers, struct p2pdma_bdf bdf, enum effect effect)
{
	struct p2pdma_provider *provider = NULL;

	while ((provider = provider_next(peers, &bdf, provider)))
		if (concerns(effect, provider, bdf))
			provider_suspend(provider);
}

static void resume_all(struct peers *peers, struct p2pdma_bdf bdf, enum effect effect)
{
	struct p2pdma_provider *provider = NULL;

	while ((provider = provider_next(peers, &bdf, provider))) {
		if (effect >= EFFECT_VFS_GONE && concerns(effect, provider, bdf))
			atomic_fetch_add(&provider->generation, 1);
		provider_resume(provider);
	}
}

static void resume_everybody(struct peers *peers)
{
	struct p2pdma_provider *provider = NULL;

	while ((provider = provider_next(peers, NULL, provider)))
		provider_resume(provider);
}

/* After a reset it may master the bus again, once its driver says so. */
static void forgive(struct peers *peers, struct p2pdma_bdf bdf)
{
	mutex_lock(&peers->lock);
	peers_forgive(peers, bdf);
	mutex_unlock(&peers->lock);
}

int p2pdma_device_reset(struct p2pdma_device *device, struct p2pdma_error *err)
{
	struct backend *backend = device->machine->backend;
	struct p2pdma_bdf bdf = device->function->bdf;
	struct peers *peers = backend->peers;
	struct hold hold;
	bool is_open, is_refused;
	int r;

	mutex_lock(&peers->lock);
	is_open = peers_find_open(peers, bdf);
	mutex_unlock(&peers->lock);
	peers_hold(peers, &hold, &bdf);
	/* One that is not open is refused: nobody loses anything.  -ENOTTY is known too late. */
	if (is_open)
		suspend_all(peers, bdf, EFFECT_RESET);
	r = backend->ops.reset(backend->private, bdf, err);
	peers_stir(peers);
	if (!r)
		forgive(peers, bdf);
	peers_let_go(peers, &hold);
	/* Who does not answer afterwards was reset too. */
	is_refused = r == -EPERM || r == -ENOTTY || r == -EOPNOTSUPP;
	resume_all(peers, bdf, is_refused ? EFFECT_NONE : EFFECT_RESET);
	return r;
}

/* Whether @offset and @length hold the byte at @at; then *@ret_byte is what is written there. */
static bool writes(size_t offset, size_t length, uint32_t value, size_t at, uint8_t *ret_byte)
{
	if (at < offset || at - offset >= length)
		return false;
	*ret_byte = (uint8_t)(value >> (8 * (at - offset)));
	return true;
}

static bool is_between(size_t offset, size_t length, size_t start, size_t end)
{
	return offset < end && offset + length > start;
}

static enum effect effect_of(const struct p2pdma_device *device, size_t offset, size_t length,
                             uint32_t value)
{
	struct backend *backend = device->machine->backend;
	struct p2pdma_bdf bdf = device->function->bdf;
	size_t bars_end = device->header_type == 0 ? BARS_END : BRIDGE_BARS_END;
	size_t pm = find_cap(backend, bdf, PCICAP_ID_PM);
	size_t exp = find_cap(backend, bdf, PCICAP_ID_EXP);
	size_t af = find_cap(backend, bdf, CAP_AF);
	size_t sriov = offset >= FIRST_EXTENDED ? find_ext(backend, bdf, PCICAP_EXT_SRIOV) : 0;
	uint8_t byte;

	/*
	 * The FLR bit is the highest of two bytes (PCIe Base 7.5.3.4).  Who does not say that it
	 * can may do it or not: the worse of both.
	 */
	if (exp && writes(offset, length, value, exp + EXP_CONTROL + 1, &byte) &&
	    byte & EXP_CONTROL_FLR >> 8)
		return load(backend, bdf, exp + EXP_CAP, 4) & EXP_CAP_FLR ? EFFECT_RESET
		                                                          : EFFECT_SLEEP;
	if (af && writes(offset, length, value, af + AF_CONTROL, &byte) && byte & AF_FLR)
		return load(backend, bdf, af + AF_CAP, 1) & AF_CAP_FLR ? EFFECT_RESET
		                                                       : EFFECT_SLEEP;
	/* A VF has no such bit, and reads it as 0 (PCIe Base 9.3.4.1.3). */
	if (!device->is_vf && writes(offset, length, value, COMMAND, &byte) &&
	    !(byte & COMMAND_MEMORY))
		return EFFECT_OFF;
	if (is_between(offset, length, BARS, bars_end))
		return EFFECT_OFF;
	if (sriov && is_between(offset, length, sriov + SRIOV_BARS, sriov + SRIOV_BARS_END))
		return EFFECT_VFS_OFF;
	if (pm && writes(offset, length, value, pm + PM_CONTROL, &byte) && byte & PM_STATE)
		return EFFECT_SLEEP;
	if (!sriov || !writes(offset, length, value, sriov + SRIOV_CONTROL, &byte))
		return EFFECT_NONE;
	return !(byte & SRIOV_ENABLE)   ? EFFECT_VFS_GONE
	       : !(byte & SRIOV_MEMORY) ? EFFECT_VFS_OFF
	                                : EFFECT_NONE;
}

static bool is_cut_off(struct peers *peers, struct p2pdma_bdf bdf)
{
	bool is;

	mutex_lock(&peers->lock);
	is = peers_is_cut_off(peers, bdf);
	mutex_unlock(&peers->lock);
	return is;
}

/* Nobody is cut off between the question and the write. */
static int write_register(struct peers *peers, struct p2pdma_bdf bdf, size_t offset, size_t length,
                          uint32_t value)
{
	struct backend *backend = peers->backend;
	uint8_t byte;
	int r = -EPERM;

	mutex_lock(&peers->lock);
	if (!writes(offset, length, value, COMMAND, &byte) || !(byte & COMMAND_MASTER) ||
	    !peers_is_cut_off(peers, bdf))
		r = backend->ops.config_write(backend->private, bdf, offset, length, value);
	mutex_unlock(&peers->lock);
	return r;
}

/* Whether the write resets all that is below a bridge (PCIe Base 6.6.1). */
static bool resets_below(const struct p2pdma_device *device, size_t offset, size_t length,
                         uint32_t value)
{
	size_t exp;
	uint8_t byte;

	if (device->header_type != 1)
		return false;
	if (writes(offset, length, value, BRIDGE_CONTROL, &byte))
		return byte & BRIDGE_RESET;
	exp = find_cap(device->machine->backend, device->function->bdf, PCICAP_ID_EXP);
	return exp && writes(offset, length, value, exp + EXP_LINK_CONTROL, &byte) &&
	       byte & EXP_LINK_DISABLE;
}

/* The event that may still come tells of this. */
static void note_below(struct peers *peers, struct p2pdma_bdf bridge)
{
	struct p2pdma_provider *provider = NULL;

	while ((provider = peers_next_below(peers, bridge, provider)))
		provider->told_until = peers_time(peers) + 1;
}

static void suspend_below(struct peers *peers, struct p2pdma_bdf bridge)
{
	struct p2pdma_provider *provider = NULL;

	while ((provider = peers_next_below(peers, bridge, provider))) {
		provider_suspend(provider);
		atomic_fetch_add(&provider->generation, 1);
	}
}

int p2pdma_device_config_write(struct p2pdma_device *device, size_t offset, size_t length,
                               uint32_t value)
{
	struct backend *backend = device->machine->backend;
	struct p2pdma_bdf bdf = device->function->bdf;
	struct peers *peers = backend->peers;
	struct p2pdma_provider *provider;
	enum effect effect = EFFECT_NONE;
	bool cut_off, resets;
	struct hold hold;
	uint8_t byte;
	int r;

	if ((length != 1 && length != 2 && length != 4) || offset % length ||
	    offset > SNAPSHOT_CONFIG_SIZE - length)
		return -EINVAL;
	cut_off = is_cut_off(peers, bdf);
	if (cut_off && writes(offset, length, value, COMMAND, &byte) && byte & COMMAND_MASTER)
		return -EPERM;
	resets = resets_below(device, offset, length, value);
	/* Who is registered from here on begins revoked. */
	peers_hold(peers, &hold, resets ? NULL : &bdf);
	provider = provider_next(peers, &bdf, NULL);
	if (provider || cut_off)
		effect = effect_of(device, offset, length, value);
	if (provider && effect != EFFECT_NONE)
		suspend_all(peers, bdf, effect);
	if (resets)
		suspend_below(peers, bdf);
	r = write_register(peers, bdf, offset, length, value);
	peers_stir(peers);
	if (!r && resets)
		note_below(peers, bdf);
	if (!r && effect == EFFECT_RESET)
		forgive(peers, bdf);
	p2pdma_provider_put(provider);
	peers_let_go(peers, &hold);
	resume_all(peers, bdf, r ? EFFECT_NONE : effect);
	if (resets)
		resume_everybody(peers);
	return r;
}

/* ---- cut off ---- */

static bool is_pending(struct backend *backend, struct p2pdma_bdf bdf)
{
	size_t exp = find_cap(backend, bdf, PCICAP_ID_EXP);
	uint32_t status = exp ? load(backend, bdf, exp + EXP_STATUS, 2) : 0;

	return status != 0xffff && status & EXP_PENDING;
}

/* Whether it is off, or gone, as far as it can be told.  Under peers->lock. */
static bool switch_off(struct backend *backend, struct p2pdma_bdf client)
{
	for (int i = 0; i <= MOST_TRIES; i++) {
		uint8_t bytes[2] = { 0xff, 0xff };
		int r = backend->ops.config_read(backend->private, client, COMMAND, sizeof(bytes),
		                                 bytes);
		uint32_t command = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;

		if (r == -ENODEV || (!r && (command == 0xffff || !(command & COMMAND_MASTER))))
			return true;
		if (!r && i < MOST_TRIES)
			backend->ops.config_write(backend->private, client, COMMAND, 2,
			                          command & ~(uint32_t)COMMAND_MASTER);
	}
	return false;
}

int peers_cut_off(struct peers *peers, struct p2pdma_bdf client)
{
	struct backend *backend = peers->backend;
	uint64_t deadline = peers_time(peers) + P2PDMA_REVOKE_PATIENCE;
	struct opened *opened;
	bool is_off, was_pending;

	mutex_lock(&peers->lock);
	opened = peers_find_open(peers, client);
	if (opened)
		opened->is_cut_off = true;
	is_off = switch_off(backend, client);
	mutex_unlock(&peers->lock);
	peers_stir(peers);
	for (uint64_t now = peers_time(peers), before = 0;
	     is_pending(backend, client) && now < deadline && now != before;
	     before = now, now = peers_time(peers))
		peers_sleep(peers, now + LOOK_AGAIN);
	was_pending = is_pending(backend, client);
	peers_sleep(peers, peers_time(peers) + P2PDMA_DRAIN_TIME);
	return !is_off ? -EIO : was_pending ? -ETIMEDOUT : 0;
}
