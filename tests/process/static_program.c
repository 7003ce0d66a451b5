/* A program that is linked statically is refused a Python, by a sentence, before one is opened. */
#include <pyattach/pyattach.h>
#include <stdio.h>
#include <string.h>

static int times_told;

static void listen(const char *message, void *arg) {
    (void)arg;
    times_told += strstr(message, "linked statically") != NULL;
    printf("%s\n", message);
}

int main(void) {
    pyattach_attached here;
    pyattach_set_message_handler(listen, NULL);
    if (pyattach_python_load("/there/is/no/libpython3.11.so") != PYATTACH_UNSUPPORTED || times_told != 1)
        return 1;
    if (pyattach_python_load(NULL) != PYATTACH_UNSUPPORTED || times_told != 2)
        return 2;
    if (pyattach_attached_begin(&here) != PYATTACH_NO_PYTHON || pyattach_is_attached())
        return 3;
    printf("refused\n");
    return 0;
}
