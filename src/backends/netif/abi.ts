/** xen/include/public/io/netif.h. */
export const NETTXF = { csum_blank: 1, data_validated: 2, more_data: 4, extra_info: 8 } as const;
export const NETRXF = { data_validated: 1, csum_blank: 2, more_data: 4, extra_info: 8 } as const;
export const NETIF_RSP = { NULL: 1, OKAY: 0, ERROR: -1, DROPPED: -2 } as const;

export const TX_ENTRY_BYTES = 12;
export const RX_ENTRY_BYTES = 8;

/** XEN_NETIF_NR_SLOTS_MIN: what every back end takes for one packet. */
export const MAX_SLOTS = 18;

/**
 *     0     4        6       8    10     12
 *     ├gref─┼─offset─┼─flags─┼─id─┼─size─┤       size: of the whole packet in its first request
 */
export interface TxRequest {
  readonly ref: number;
  readonly offset: number;
  readonly flags: number;
  readonly id: number;
  readonly size: number;
}

export function txRequest(raw: DataView): TxRequest {
  return {
    ref: raw.getUint32(0, true),
    offset: raw.getUint16(4, true),
    flags: raw.getUint16(6, true),
    id: raw.getUint16(8, true),
    size: raw.getUint16(10, true),
  };
}

/** XEN_NETIF_EXTRA_FLAG_MORE in byte 1 of an extra-info slot: another one follows. */
export function extraHasMore(raw: DataView): boolean {
  return (raw.getUint8(1) & 1) !== 0;
}

/** id, status. */
export function txResponse(id: number, status: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, id, true);
  view.setInt16(2, status, true);
  return new Uint8Array(view.buffer);
}

export interface RxRequest {
  readonly id: number;
  readonly ref: number;
}

/** id, padding, gref. */
export function rxRequest(raw: DataView): RxRequest {
  return { id: raw.getUint16(0, true), ref: raw.getUint32(4, true) };
}

/** id, offset, flags, status: the number of bytes, or an error. */
export function rxResponse(id: number, flags: number, status: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(RX_ENTRY_BYTES));
  view.setUint16(0, id, true);
  view.setUint16(4, flags, true);
  view.setInt16(6, status, true);
  return new Uint8Array(view.buffer);
}
