#include "lockstep/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_BYTES 16384

static _Thread_local char message[MESSAGE_BYTES];
static _Thread_local LsStatus message_status;

LsStatus ls_fail(LsStatus status, const char *format, ...)
{
    char text[MESSAGE_BYTES]; /* not written in place: arguments may point into the old message */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(message, text, strlen(text) + 1);
    message_status = status;
    return status;
}

LsStatus ls_fail_in(LsStatus status, const char *format, ...)
{
    if (message_status == LS_RESOURCE) /* says nothing of what was read */
        status = LS_RESOURCE;
    char text[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t used = length < 0 ? 0 : (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    if (used + 3 < sizeof text) {
        text[used++] = ':';
        text[used++] = ' ';
        size_t room = sizeof text - used - 1, rest = strlen(message);
        memcpy(text + used, message, rest < room ? rest : room);
        used += rest < room ? rest : room;
    }
    text[used] = '\0';
    memcpy(message, text, used + 1);
    message_status = status;
    return status;
}

const char *ls_message(void) { return message; }

LsStatus ls_message_status(void) { return message_status == LS_OK ? LS_ERROR : message_status; }

void ls_clear_message(void)
{
    message[0] = '\0';
    message_status = LS_OK;
}
