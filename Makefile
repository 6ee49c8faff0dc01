# The front door: see README.md.
BUILD ?= build

check:
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD)
	meson test -C $(BUILD) --print-errorlogs

.PHONY: check
