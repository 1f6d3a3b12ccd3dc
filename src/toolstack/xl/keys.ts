/**
 * What rexen does with each key that xl 4.17 knows (tools/xl/xl_parse.c):
 *   used      read by config.ts
 *   quiet     says nothing about a rexen guest (a screen, a real machine's resources): accepted without a word
 *   ignored   xl would act on it, rexen does not: a warning names it
 *   anything else: an error, with the text as advice
 */
const USED =
  'name uuid type builder kernel ramdisk cmdline root extra memory maxmem vcpus maxvcpus on_poweroff on_reboot on_crash ' +
  'on_watchdog disk vif cpuid cpus cpu_weight cap acpi max_grant_version';
const QUIET =
  'vnc vncdisplay vnclisten vncpasswd vncunused vncviewer sdl opengl nographic display xauthority keymap spice spicehost ' +
  'spiceport spicetls_port spicedisable_ticketing spicepasswd spiceagent_mouse spicevdagent spice_clipboard_sharing ' +
  'spice_image_compression spice_streaming_video spiceusbredirection vfb vga stdvga videoram serial pae nx apic hpet hap ' +
  'oos shadow_memory seclabel init_seclabel pool nomigrate usb usbdevice soundhw vkb_device xen_platform_pci ' +
  'xend_suspend_evtchn_compat suppress_spurious_page_faults device_model_version device_model_override device_model_args ' +
  'device_model_args_pv device_model_args_hvm passthrough driver_domain max_maptrack_frames';
const IGNORED =
  'on_soft_reset localtime rtc_timeoffset tsc_mode timer_mode viridian nestedhvm altp2m altp2mhvm acpi_s3 acpi_s4 ' +
  'acpi_laptop_slate acpi_firmware smbios_firmware ms_vm_genid vpt_align mca_caps msr_relaxed vpmu cpus_soft period slice ' +
  'latency extratime max_grant_frames max_event_channels mmio_hole rdm rdm_mem_boundary boot hdtype ' +
  'e820_host claim_mode vmtrace_buf_kb vendor_device vuart channel vkb vsnd vdispl p9 pvcalls vtpm usbctrl usbdev vif2 ' +
  'gic_version tee dm_restrict device_model_user usbversion vnuma';

const WANTS: Readonly<Record<string, string>> = {
  bootloader: 'name the kernel itself: kernel = "FILE", ramdisk = "FILE"',
  bootloader_args: 'name the kernel itself: kernel = "FILE", ramdisk = "FILE"',
  firmware: 'rexen boots the file in kernel = "FILE"; remove this line',
  bios: 'rexen boots the file in kernel = "FILE"; remove this line',
  bios_path_override: 'rexen boots the file in kernel = "FILE"; remove this line',
  firmware_override: 'rexen boots the file in kernel = "FILE"; remove this line',
  device_tree: 'a device tree belongs to ARM guests; remove this line',
  pci: 'a rexen guest has no host PCI devices; remove this line',
  dtdev: 'a rexen guest has no host devices; remove this line',
  gfx_passthru: 'a rexen guest has no host devices; remove this line',
  ioports: 'a rexen guest has no host devices; remove this line',
  iomem: 'a rexen guest has no host devices; remove this line',
  irqs: 'a rexen guest has no host devices; remove this line',
  pvshim: 'boot xen-shim itself as the kernel of a PVH domain',
  pvshim_path: 'boot xen-shim itself as the kernel of a PVH domain',
  pvshim_cmdline: 'boot xen-shim itself as the kernel of a PVH domain',
  pvshim_extra: 'boot xen-shim itself as the kernel of a PVH domain',
};

export type KeyUse = 'used' | 'quiet' | 'ignored' | 'unknown' | { readonly advice: string };

const USES = new Map<string, KeyUse>();
for (const key of USED.split(' ')) USES.set(key, 'used');
for (const key of QUIET.split(' ')) USES.set(key, 'quiet');
for (const key of IGNORED.split(' ')) USES.set(key, 'ignored');
for (const key of Object.keys(WANTS)) USES.set(key, { advice: WANTS[key]! });

export function useOfKey(key: string): KeyUse {
  return USES.get(key) ?? 'unknown';
}

/** The known key nearest to a mistyped one (one edit away), for the warning's hint. */
export function nearestKey(key: string): string | undefined {
  return nearestOf(key, [...USES.keys()]);
}

/** The word of `known` that is one edit away from `word`. */
export function nearestOf(word: string, known: readonly string[]): string | undefined {
  return known.find((candidate) => oneEditApart(candidate, word));
}

function oneEditApart(a: string, b: string): boolean {
  const [short, long] = a.length <= b.length ? [a, b] : [b, a];
  if (long.length - short.length > 1 || a === b) return false;
  let i = 0;
  while (i < short.length && short[i] === long[i]) i++;
  return short.length === long.length ? short.slice(i + 1) === long.slice(i + 1) : short.slice(i) === long.slice(i + 1);
}
