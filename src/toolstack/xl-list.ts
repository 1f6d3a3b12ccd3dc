/** `xl list` and `xl vcpu-list`: the tables of xl 4.17 (tools/xl/xl_list.c, xl_vcpu.c). */
import type { Toolstack } from './domains.ts';
import type { DomainStatus, Hypervisor, VcpuStatus } from './hypervisor-interface.ts';

const TICKS_PER_SECOND = 1e9;
const PAGES_PER_MIB = 256;

/** Memory in MiB, time in seconds of the guests' clock, one decimal. `id` picks one domain. */
export function listText(toolstack: Toolstack, hypervisor: Hypervisor, id?: number): string {
  const lines = [row('Name', 'ID', 'Mem', 'VCPUs', 'State', 'Time(s)')];
  for (const domain of toolstack.list()) {
    if (id !== undefined && domain.id !== id) continue;
    const status = hypervisor.status(domain.id);
    const online = status.vcpus.filter((vcpu) => vcpu.state !== 'offline').length;
    const used = status.vcpus.reduce((sum, vcpu) => sum + vcpu.runTicks, 0);
    const memory = Math.round(status.pages / PAGES_PER_MIB);
    lines.push(row(domain.name, domain.id, memory, online, stateLetters(status), seconds(used)));
  }
  return `${lines.join('\n')}\n`;
}

/** The same for vcpus; a processor is named while the vcpu is on it. */
export function vcpuListText(toolstack: Toolstack, hypervisor: Hypervisor, id?: number): string {
  const lines = [row('Name', 'ID', 'VCPU', 'CPU', 'State', 'Time(s)')];
  for (const domain of toolstack.list()) {
    if (id !== undefined && domain.id !== id) continue;
    for (const [number, vcpu] of hypervisor.status(domain.id).vcpus.entries()) {
      const cpu = vcpu.pcpu < 0 ? '-' : vcpu.pcpu;
      lines.push(row(domain.name, domain.id, number, cpu, VCPU_LETTERS[vcpu.state], seconds(vcpu.runTicks)));
    }
  }
  return `${lines.join('\n')}\n`;
}

const VCPU_LETTERS: Readonly<Record<VcpuStatus['state'], string>> = {
  running: 'r--',
  runnable: '---',
  blocked: '-b-',
  offline: '--p',
};

/** running, blocked, paused, shut down, crashed, dying: a dash for what it is not. */
function stateLetters({ vcpus, paused, shutdown }: DomainStatus): string {
  const online = vcpus.filter((vcpu) => vcpu.state !== 'offline');
  return [
    online.some((vcpu) => vcpu.state === 'running') ? 'r' : '-',
    online.every((vcpu) => vcpu.state === 'blocked') ? 'b' : '-',
    paused ? 'p' : '-',
    shutdown === undefined ? '-' : 's',
    shutdown === 'crash' ? 'c' : '-',
    '-',
  ].join('');
}

function seconds(ticks: number): string {
  return (ticks / TICKS_PER_SECOND).toFixed(1);
}

function row(name: string, ...columns: readonly (string | number)[]): string {
  return `${name.padEnd(32)} ${columns.map((each) => String(each).padStart(7)).join(' ')}`;
}
