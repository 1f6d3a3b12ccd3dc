/* Text: a small printf (%d %u %x %lx %lu %ld %s %c %%, width, 0 and - flags) and what C needs of strings. */
#include "guest.h"

void *memcpy(void *to, const void *from, size_t size) {
  void *start = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size)::"memory");
  return start;
}

void *memset(void *to, int value, size_t size) {
  void *start = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
  return start;
}

size_t strlen(const char *text) {
  size_t n = 0;
  while (text[n]) n++;
  return n;
}

bool text_equal(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

uint64_t text_number(const char *text) {
  uint64_t value = 0;
  while (*text >= '0' && *text <= '9') value = value * 10 + (uint64_t)(*text++ - '0');
  return value;
}

struct out {
  char *at, *end;
  size_t length;
};

static void put(struct out *out, char c) {
  if (out->at < out->end) *out->at++ = c;
  out->length++;
}

static void put_padded(struct out *out, const char *text, size_t length, int width, bool left, char pad) {
  int gap = width - (int)length;
  if (!left && pad == '0' && length && *text == '-') put(out, '-'), text++, length--;
  if (!left) while (gap-- > 0) put(out, pad);
  for (size_t i = 0; i < length; i++) put(out, text[i]);
  if (left) while (gap-- > 0) put(out, ' ');
}

static size_t digits(char *end, uint64_t value, unsigned base, bool negative) {
  char *at = end;
  do *--at = "0123456789abcdef"[value % base];
  while (value /= base);
  if (negative) *--at = '-';
  return (size_t)(end - at);
}

/* Writes at most `size` bytes, without a closing zero, and returns the length that the whole text has. */
size_t format(char *buffer, size_t size, const char *text, va_list args) {
  struct out out = {buffer, buffer + size, 0};
  for (; *text; text++) {
    if (*text != '%') {
      put(&out, *text);
      continue;
    }
    bool left = false, is_long = false;
    char pad = ' ';
    int width = 0;
    for (text++; *text == '-' || *text == '0'; text++) {
      if (*text == '-') left = true;
      else pad = '0';
    }
    while (*text >= '0' && *text <= '9') width = width * 10 + *text++ - '0';
    while (*text == 'l') is_long = true, text++;
    char number[24], *end = number + sizeof number;
    size_t length;
    switch (*text) {
      case 'd': {
        int64_t value = is_long ? va_arg(args, int64_t) : va_arg(args, int);
        length = digits(end, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, value < 0);
        put_padded(&out, end - length, length, width, left, pad);
        break;
      }
      case 'u':
      case 'x': {
        uint64_t value = is_long ? va_arg(args, uint64_t) : va_arg(args, unsigned);
        length = digits(end, value, *text == 'x' ? 16 : 10, false);
        put_padded(&out, end - length, length, width, left, pad);
        break;
      }
      case 's': {
        const char *string = va_arg(args, const char *);
        put_padded(&out, string, strlen(string), width, left, ' ');
        break;
      }
      case 'c':
        put(&out, (char)va_arg(args, int));
        break;
      default:
        put(&out, *text);
    }
  }
  return out.length;
}

/* Like snprintf: always ends with a zero. */
size_t format_to(char *out, size_t size, const char *text, ...) {
  va_list args;
  va_start(args, text);
  size_t length = format(out, size - 1, text, args);
  va_end(args);
  out[length < size ? length : size - 1] = 0;
  return length;
}

void print(const char *text, ...) {
  char line[512];
  va_list args;
  va_start(args, text);
  size_t length = format(line, sizeof line, text, args);
  va_end(args);
  console_write(line, length < sizeof line ? length : sizeof line);
}
