#include "buffer.h"

#include <stdlib.h>

#include "socket.h"

void buffer_reserve(struct buffer *buffer, size_t more)
{
    size_t needed = buffer->length + more;
    if (needed <= buffer->capacity) {
        return;
    }
    size_t capacity = buffer->capacity ? buffer->capacity : 256;
    while (capacity < needed) {
        capacity *= 2;
    }
    buffer->bytes = realloc(buffer->bytes, capacity);
    if (buffer->bytes == NULL) {
        die("out of memory at %zu bytes", capacity);
    }
    buffer->capacity = capacity;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
    buffer_reserve(buffer, length);
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
}

void buffer_byte(struct buffer *buffer, uint8_t byte)
{
    buffer_append(buffer, &byte, 1);
}

void buffer_string(struct buffer *buffer, const char *string)
{
    buffer_append(buffer, string, strlen(string) + 1);
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}
