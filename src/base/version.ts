/** Of this rexen; stands in every recording. */
export const VERSION = '0.1.0';
