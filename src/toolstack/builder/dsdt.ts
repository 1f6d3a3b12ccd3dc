/**
 * What a PVH guest's DSDT declares: processors that can be plugged in later, and the handler of the event that says so
 * (libacpi/mk_dsdt.c). A processor is there if its MADT entry says so. The handler compares these entries with the
 * bitmap of processors at ports 0xaf00 and so on. A PVH domain has nothing behind those ports, so they read as ones:
 * Linux runs the handler once while it boots, which is how it comes to know of processors that are offline at the
 * start and that `xl vcpu-set` brings in later.
 */
import * as aml from './aml.ts';

const BITMAP_PORT = 0xaf00;
/** HVM_MAX_VCPUS: all of the bitmap is read, however many vcpus there are. */
const BITMAP_BITS = 128;
const PRESENT = 0x0f;
/** Notifications to the operating system: ACPI 6.2 section 5.6.6. */
const DEVICE_CHECK = 1;
const EJECT_REQUEST = 3;

/**
 * The AML of the whole table.
 * @param lapics address of the MADT's first processor entry; 8 bytes each, flags at 4
 * @param checksum address of the MADT's checksum, which follows what the handler writes
 */
export function dsdtCode(maxVcpus: number, lapics: number, checksum: number): aml.Aml {
  const processors = Array.from({ length: maxVcpus }, (_, cpu) => processor(cpu, lapics + 8 * cpu));
  const system = aml.scope(
    '\\_SB',
    aml.region('MSUM', aml.REGION.MEMORY, checksum, 1),
    aml.field('MSUM', ['MSU', 8]),
    ...processors,
    aml.region('PRST', aml.REGION.IO, BITMAP_PORT, BITMAP_BITS / 4),
    aml.field('PRST', ['PRS', BITMAP_BITS]),
    aml.method('PRSC', 0, aml.store(aml.toBuffer(aml.object('PRS')), aml.local(0)), ...compareAll(maxVcpus)),
  );
  return [...system, ...aml.scope('\\_GPE', aml.method('_E02', 0, aml.object('\\_SB.PRSC')))];
}

function processorName(cpu: number): string {
  return `PR${cpu.toString(16).toUpperCase().padStart(2, '0')}`;
}

function processor(cpu: number, lapic: number): aml.Aml {
  return aml.processor(
    processorName(cpu),
    cpu,
    0xb010,
    6,
    aml.named('_HID', aml.string('ACPI0007')),
    aml.named('_UID', aml.byte(cpu)),
    aml.region('MATR', aml.REGION.MEMORY, lapic, 8),
    aml.field('MATR', ['MAT', 64]),
    aml.field('MATR', [undefined, 32], ['FLG', 1]),
    aml.method('_MAT', 0, aml.returns(aml.toBuffer(aml.object('MAT')))),
    aml.method('_STA', 0, aml.when(aml.object('FLG'), aml.returns(aml.byte(PRESENT))), aml.returns(aml.byte(0))),
    aml.method('_EJ0', 1, aml.sleep(200)),
  );
}

/** Brings each processor's MADT entry up to the bitmap in local 0, and tells the operating system what changed. */
function compareAll(maxVcpus: number): aml.Aml[] {
  const [bitmap, bits, online] = [aml.local(0), aml.local(1), aml.local(2)];
  const sum = aml.object('MSU');
  const one = aml.byte(1);
  const terms: aml.Aml[] = [];
  for (let cpu = 0; cpu < maxVcpus; cpu++) {
    const path = processorName(cpu);
    const flag = aml.object(`^${path}.FLG`);
    terms.push(
      cpu % 8 === 0 ? aml.store(aml.element(bitmap, cpu / 8), bits) : aml.shiftRight(bits, one, bits),
      aml.and(bits, one, online),
      aml.when(
        aml.differs(online, flag),
        aml.store(online, flag),
        aml.when(aml.equal(online, one), aml.notify(path, DEVICE_CHECK), aml.subtract(sum, one, sum)),
        aml.otherwise(aml.notify(path, EJECT_REQUEST), aml.add(sum, one, sum)),
      ),
    );
  }
  return terms;
}
