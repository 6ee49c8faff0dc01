/* SPDX-License-Identifier: MIT */
/*
 * soak_event.c - what is done to functions, by their drivers and by the world.
 */
#include "soak.h"

static unsigned int number(const struct unit *unit)
{
	return (unsigned int)(unit - soak.units);
}

static bool is_enabled_by(const struct unit *unit, const struct unit *other)
{
	return unit == other ||
	       topology_at(soak.lab.machine, unit->device->physfn) == other->device;
}

/* Who writes to memory that is about to go has mostly been told before. */
static void warn(const struct unit *unit)
{
	stir();
	for (unsigned int i = 0; i < LEASES; i++) {
		struct lease *lease = &soak.leases[i];

		if (lease->mapping && lease->grant.places[0].unit == unit && chance(50))
			lease_end(lease);
	}
}

/* All that hangs on its memory, and its VFs', was revoked. */
static void was_revoked(const struct unit *unit, const char *what)
{
	for (unsigned int i = 0; i < soak.unit_count; i++)
		if (soak.units[i].source && is_enabled_by(&soak.units[i], unit))
			loans_were_revoked(soak.units[i].source, 1, what);
}

static int set(struct p2pdma_device *device, size_t offset, size_t length, uint32_t value)
{
	int r = p2pdma_device_config_write(device, offset, length, value);

	return result("config_write", r, -ENODEV, -EPERM, 1);
}

static int change(struct p2pdma_device *device, size_t offset, uint32_t clear, uint32_t bits)
{
	return set(device, offset, 2, (lab_get(device, offset, 2) & ~clear) | bits);
}

/* ---- by drivers ---- */

static void open_unit(struct unit *unit)
{
	int r;

	r = p2pdma_device_open(unit->device, NULL);
	did("open unit %u: %d", number(unit), r);
	result("open", r, -EBUSY, -ENODEV, 1);
	if ((r == -EBUSY) != unit->is_open && r != -ENODEV)
		broken("open: %d", r);
	if (r)
		return;
	stir();
	unit->is_open = true;
	unit->is_gone = false;
	unit->opening++;
	if (!chance(95) || lab_get(unit->device, COMMAND, 2) == 0xffff)
		return;
	r = change(unit->device, COMMAND, 0, COMMAND_MEMORY | COMMAND_MASTER);
	if (!r && unit->is_cut_off)
		broken("unit %u was cut off, and may master the bus again", number(unit));
}

void op_open(void)
{
	open_unit(random_unit());
}

static void stop_streams(const struct unit *unit)
{
	for (unsigned int i = 0; i < LEASES; i++)
		if (soak.leases[i].mapping && soak.leases[i].grant.client == unit)
			stream_stop(&soak.leases[i].grant);
	for (unsigned int i = 0; i < GUESTS; i++)
		if (soak.guests[i].attachment && soak.guests[i].grant.client == unit)
			stream_stop(&soak.guests[i].grant);
	lab_run(&soak.lab, 2000000);
}

static void close_unit(struct unit *unit)
{
	struct source *source = unit->source;

	stop_streams(unit);
	stir();
	did("close unit %u", number(unit));
	p2pdma_device_close(unit->device);
	unit->is_open = false;
	unit->is_gone = false;
	if (!source)
		return;
	source_died(source);
	loans_were_revoked(source, 1, "close");
}

void op_close(void)
{
	struct unit *unit = random_unit();

	if (!chance(30) && !unit->is_cut_off)
		return;
	warn(unit);
	close_unit(unit);
}

static void reset_unit(struct unit *unit)
{
	int r;

	warn(unit);
	did("reset unit %u", number(unit));
	r = p2pdma_device_reset(unit->device, NULL);
	did("reset unit %u: %d", number(unit), r);
	result("reset", r, -ENODEV, -EPERM, -ENOTTY, 1);
	if ((r == -EPERM) != !unit->is_open && r != -ENODEV)
		broken("reset: %d", r);
	was_revoked(unit, "reset");
	/* Who was cut off by the reset of its own memory was reset afterwards. */
	if (!r)
		unit->is_cut_off = false;
	if (!r && chance(80))
		change(unit->device, COMMAND, 0, COMMAND_MEMORY | COMMAND_MASTER);
}

void op_reset(void)
{
	struct unit *unit = random_unit();

	if (chance(50) || unit->is_cut_off)
		reset_unit(unit);
}

void op_decode(void)
{
	struct unit *unit = random_unit();
	bool is_on = chance(65);

	if (!is_on)
		warn(unit);
	stir();
	did("unit %u: decode %s", number(unit), is_on ? "on" : "off");
	change(unit->device, COMMAND, is_on ? 0 : COMMAND_MEMORY, is_on ? COMMAND_MEMORY : 0);
	was_revoked(unit, "decode");
}

void op_master(void)
{
	struct unit *unit = random_unit();
	bool is_on = chance(70);
	int r;

	stir();
	r = change(unit->device, COMMAND, is_on ? 0 : COMMAND_MASTER, is_on ? COMMAND_MASTER : 0);
	did("unit %u: master %s: %d", number(unit), is_on ? "on" : "off", r);
	/* Where decode was off already it was written so again. */
	was_revoked(unit, "master");
	if (!r && is_on && unit->is_cut_off)
		broken("unit %u was cut off, and may master the bus again", number(unit));
}

void op_sleep(void)
{
	struct unit *unit = random_unit();
	size_t pm = lab_cap(unit->device, CAP_PM);
	bool is_off = chance(35);

	if (!pm)
		return;
	if (is_off)
		warn(unit);
	stir();
	did("unit %u: %s", number(unit), is_off ? "D3" : "D0");
	change(unit->device, pm + 4, 3, is_off ? 3 : 0);
	was_revoked(unit, "sleep");
	if (!is_off)
		change(unit->device, COMMAND, 0, COMMAND_MEMORY | COMMAND_MASTER);
	was_revoked(unit, "wake");
}

/*
 * Who was kept out by the IOMMU alone, and goes on, would get past it by another way: whoever opens
 * that has to answer for it.
 */
static void stop_strangers(void)
{
	for (unsigned int i = 0; i < STREAMS; i++) {
		bool is_known = false;

		for (unsigned int j = 0; j < LEASES; j++)
			is_known |= soak.leases[j].grant.stream == &soak.streams[i];
		for (unsigned int j = 0; j < GUESTS; j++)
			is_known |= soak.guests[j].grant.stream == &soak.streams[i];
		if (!is_known)
			soak.streams[i].left = 0;
	}
}

void op_acs(void)
{
	struct p2pdma_device *bridge = soak.bridges[below(soak.bridge_count)];
	size_t at = lab_ext(bridge, EXT_ACS);
	uint16_t control = chance(30) ? 0 : chance(40) ? 0x1d : (uint16_t)below(0x80) & 0x5f;

	if (!at)
		return;
	stir();
	stop_strangers();
	did("ACS of %s: %#x", lab_text(lab_bdf(bridge)), control);
	set(bridge, at + 6, 2, control);
}

void op_ats(void)
{
	struct unit *unit = random_unit();
	size_t at = lab_ext(unit->device, EXT_ATS);
	bool is_on = chance(50);

	if (!at)
		return;
	stir();
	stop_strangers();
	did("unit %u: ATS %s", number(unit), is_on ? "on" : "off");
	change(unit->device, at + 6, 0x8000, is_on ? 0x8000 : 0);
}

/* ---- by the world ---- */

void op_fault(void)
{
	static const char *const of_units[] = { "remove", "add", "add", "hang", "reset" };
	static const char *const of_bridges[] = { "retrain", "link-down", "link-up", "link-up" };
	struct p2pdma_device *device;
	const char *what;
	char json[256], when[64] = "\"at_ns\":0";
	int r;

	if (!chance(40))
		return;
	if (chance(60)) {
		struct unit *unit = random_unit();

		device = unit->device;
		what = of_units[below(5)];
	} else {
		device = soak.bridges[below(soak.bridge_count)];
		if (!topology_is_down_port(device) ||
		    (device->end > device->index + 3 && chance(80)))
			return;
		what = of_bridges[below(4)];
	}
	/* In the middle of what comes next. */
	if (chance(50))
		snprintf(when, sizeof(when), "\"at_ns\":%" PRIu64, now() + below(3000000));
	snprintf(json, sizeof(json), "{%s,\"do\":\"%s\",\"device\":\"%s\"}", when, what,
	         lab_text(lab_bdf(device)));
	if (chance(20))
		snprintf(
			json, sizeof(json),
			"{\"tlp\":{\"type\":\"write\",\"nth\":%u},\"do\":\"delay\",\"delay_ns\":%u}",
			1 + below(5), below(200000));
	else if (chance(15))
		snprintf(json, sizeof(json), "{\"tlp\":{\"type\":\"%s\",\"nth\":%u},\"do\":\"%s\"}",
		         chance(50) ? "write" : "completion", 1 + below(5),
		         chance(50) ? "drop" : "poison");
	stir();
	soak.is_shaken = true;
	r = p2pdma_sim_fault(soak.lab.sim, json, NULL);
	did("fault %s: %d", json, r);
	if (r == -ENOMEM)
		broken("no memory");
	if (chance(50))
		lab_run(&soak.lab, 1000);
}

static void fault(const char *what, const struct p2pdma_device *device)
{
	char json[128];

	snprintf(json, sizeof(json), "{\"at_ns\":0,\"do\":\"%s\",\"device\":\"%s\"}", what,
	         lab_text(lab_bdf(device)));
	if (p2pdma_sim_fault(soak.lab.sim, json, NULL))
		broken("%s", json);
}

/* A VF's is its PF's. */
static bool has_bar(const struct unit *unit)
{
	size_t at = 0x10 + 4 * (size_t)unit->bar;

	return unit->bar < 0 || unit->device->is_vf ||
	       ((lab_get(unit->device, at, 4) & ~0xfu) == (uint32_t)unit->bus &&
	        lab_get(unit->device, at + 4, 4) == unit->bus >> 32);
}

/* A reset by its link took it. */
static void put_bar_back(const struct unit *unit)
{
	size_t at = 0x10 + 4 * (size_t)unit->bar;

	if (has_bar(unit))
		return;
	change(unit->device, COMMAND, COMMAND_MEMORY, 0);
	set(unit->device, at, 4, (uint32_t)unit->bus);
	set(unit->device, at + 4, 4, (uint32_t)(unit->bus >> 32));
}

static bool below_switch(const struct p2pdma_device *port)
{
	return port->depth > 1;
}

/* Somebody comes and plugs everything in again; drivers bring it up. */
void op_heal(void)
{
	bool is_whole = true;

	if (!chance(60))
		return;
	stir();
	did("all is plugged in and switched on");
	for (unsigned int i = 0; i < soak.bridge_count; i++) {
		if (!topology_is_down_port(soak.bridges[i]))
			continue;
		/* A switch that was reset has lost its windows; plugged in, it has them. */
		if (chance(15) && !below_switch(soak.bridges[i]))
			fault("remove", soak.bridges[i]);
		fault("link-up", soak.bridges[i]);
		fault("add", soak.bridges[i]);
	}
	for (unsigned int i = 0; i < soak.unit_count; i++)
		fault("add", soak.units[i].device);
	lab_run(&soak.lab, 1000000);
	take_events();
	for (unsigned int i = 0; i < soak.unit_count; i++) {
		struct unit *unit = &soak.units[i];
		size_t pm;

		if (unit->is_gone)
			close_unit(unit);
		if (!unit->is_open)
			open_unit(unit);
		if (lab_get(unit->device, COMMAND, 2) == 0xffff && unit->is_open)
			reset_unit(unit);
		pm = lab_cap(unit->device, CAP_PM);
		if (pm)
			change(unit->device, pm + 4, 3, 0);
		put_bar_back(unit);
		change(unit->device, COMMAND, 0, COMMAND_MEMORY | COMMAND_MASTER);
		was_revoked(unit, "heal");
	}
	/* Something may have happened to one while another was healed. */
	for (unsigned int i = 0; i < soak.unit_count; i++)
		is_whole &= (lab_get(soak.units[i].device, COMMAND, 2) & 0xfff9) != 0xfff9 &&
		            has_bar(&soak.units[i]);
	for (unsigned int i = 0; i < soak.bridge_count; i++)
		is_whole &= lab_get(soak.bridges[i], 0x24, 4) == soak.bridge_windows[i] &&
		            (lab_get(soak.bridges[i], COMMAND, 2) & 6) == 6;
	p2pdma_machine_rescan(soak.lab.machine);
	if (is_whole && !p2pdma_sim_faults_pending(soak.lab.sim))
		soak.is_shaken = false;
}

static struct unit *find_unit(struct p2pdma_bdf bdf)
{
	for (unsigned int i = 0; i < soak.unit_count; i++)
		if (lab_same(soak.units[i].bdf, bdf))
			return &soak.units[i];
	return NULL;
}

static void was_removed(struct unit *unit)
{
	if (unit->is_open)
		unit->is_gone = true;
	for (unsigned int i = 0; i < soak.unit_count; i++) {
		struct source *source = soak.units[i].source;

		if (!source || !is_enabled_by(&soak.units[i], unit))
			continue;
		source_died(source);
		loans_were_revoked(source, 1, "removal");
	}
	/* It has no power, and so no memory of what it was to do. */
	unit->is_cut_off = false;
}

static void link_went_down(struct p2pdma_bdf port)
{
	for (unsigned int i = 0; i < soak.unit_count; i++) {
		const struct p2pdma_device *at = soak.units[i].device;

		for (; at; at = p2pdma_device_parent(at))
			if (lab_same(lab_bdf(at), port))
				was_revoked(&soak.units[i], "link down");
	}
}

void take_events(void)
{
	struct p2pdma_event event;

	while (!p2pdma_machine_event(soak.lab.machine, &event)) {
		struct unit *unit = find_unit(event.bdf);

		did("event %d of %s", event.kind, lab_text(event.bdf));
		stir();
		if (event.kind == P2PDMA_EVENT_REMOVED && unit)
			was_removed(unit);
		else if (event.kind == P2PDMA_EVENT_LINK_DOWN)
			link_went_down(event.bdf);
	}
}

void event_clear(void)
{
	for (unsigned int i = 0; i < soak.unit_count; i++)
		if (soak.units[i].is_open)
			close_unit(&soak.units[i]);
	take_events();
}
