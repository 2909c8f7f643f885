/*
 * Loads an output plugin as Fluent Bit does, and uses it as Fluent Bit does: the structures and the
 * order of calls are its, and so is the size of the stacks, which are guarded here as they are not
 * there.
 *
 *   host PLUGIN REPORT BIG_CHUNK SMALL_CHUNK KEY=VALUE... [-- KEY=VALUE...]...
 *
 * Each list of options is an output. What comes of the calls, and what the plugin logs behind its
 * level, is written to REPORT. It goes on to the end when its standard input ends.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id) (void) (id)
#endif

#define MOST 8
#define STACK_BYTES (24 * 1024)
#define PAGE_BYTES 4096

struct def { int type, proxy, flags; char *name, *description; int event_type; void *config_map; };
struct context { void *remote; void *proxy; };
struct output { char **options; int count; };
struct api {
    const char *(*output_get_property)(const char *, void *);
    void *others[3];
    void (*log_print)(int, const char *, int, const char *, ...);
};
struct plugin { char *name; void *api; void *o_ins; struct context *context; void *callbacks[6]; };

static FILE *report;

#define say(...) do { fprintf(report, __VA_ARGS__); fflush(report); } while (0)

static const char *get_property(const char *key, void *o_ins)
{
    struct output *output = o_ins;
    size_t length = strlen(key);
    for (int i = 0; i < output->count; i++)
        if (!strncasecmp(output->options[i], key, length) && output->options[i][length] == '=')
            return output->options[i] + length + 1;
    return NULL;
}

static void log_print(int level, const char *file, int line, const char *format, ...)
{
    /* As much stack as Fluent Bit's takes. */
    volatile char text[8192];
    va_list values;
    (void) file;
    (void) line;
    va_start(values, format);
    vsnprintf((char *) text, sizeof(text), format, values);
    va_end(values);
    say("log %d %s\n", level, (char *) text);
}

static struct api api = { get_property, { NULL, NULL, NULL }, log_print };

struct flush {
    int (*call)(void *, const void *, size_t, char *);
    void *remote;
    char *data;
    size_t size;
    int result;
    ucontext_t here, there;
};

/* makecontext hands over integers only. */
static __thread struct flush *current;

static void on_small_stack(void)
{
    char tag[] = "profiles";
    current->result = current->call(current->remote, current->data, current->size, tag);
}

static void *flush(void *argument)
{
    struct flush *flush = argument;
    char *memory = mmap(NULL, PAGE_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(memory, PAGE_BYTES, PROT_NONE);
    getcontext(&flush->there);
    flush->there.uc_stack.ss_sp = memory + PAGE_BYTES;
    flush->there.uc_stack.ss_size = STACK_BYTES;
    flush->there.uc_link = &flush->here;
    makecontext(&flush->there, on_small_stack, 0);
    current = flush;
    unsigned stack = VALGRIND_STACK_REGISTER(memory + PAGE_BYTES, memory + PAGE_BYTES + STACK_BYTES);
    swapcontext(&flush->here, &flush->there);
    VALGRIND_STACK_DEREGISTER(stack);
    /* The data is Fluent Bit's, which may do with it what it likes afterwards. */
    memset(flush->data, 0xc1, flush->size);
    free(flush->data);
    munmap(memory, PAGE_BYTES + STACK_BYTES);
    return NULL;
}

static void prepare(struct flush *flush, void *call, void *remote, const char *path)
{
    struct stat status;
    int file = open(path, O_RDONLY);
    fstat(file, &status);
    flush->call = (int (*)(void *, const void *, size_t, char *)) call;
    flush->remote = remote;
    flush->size = status.st_size;
    flush->data = malloc(flush->size + 1);
    if (read(file, flush->data, flush->size) != (ssize_t) flush->size)
        abort();
    close(file);
}

int main(int count, char **arguments)
{
    struct output outputs[MOST] = { 0 };
    struct context contexts[MOST] = { 0 };
    int used = 1;
    report = fopen(arguments[2], "w");
    for (int i = 5; i < count; i++) {
        struct output *output = &outputs[used - 1];
        if (!strcmp(arguments[i], "--"))
            used++;
        else if (!output->count++)
            output->options = &arguments[i];
    }

    void *library = dlopen(arguments[1], RTLD_LAZY);
    if (!library) {
        say("dlopen: %s\n", dlerror());
        return 1;
    }
    int (*registers)(struct def *) = (int (*)(struct def *)) dlsym(library, "FLBPluginRegister");
    int (*init)(struct plugin *) = (int (*)(struct plugin *)) dlsym(library, "FLBPluginInit");
    void *flush_ctx = dlsym(library, "FLBPluginFlushCtx");
    int (*leave)(void *) = (int (*)(void *)) dlsym(library, "FLBPluginExitCtx");
    void (*unregister)(struct def *) = (void (*)(struct def *)) dlsym(library, "FLBPluginUnregister");

    /* Older versions have less than this; what lies behind is not the plugin's. */
    struct def *def = malloc(32);
    memset(def, 0, 32);
    say("register %d", registers(def));
    say(" %d %d %d %s: %s\n", def->type, def->proxy, def->flags, def->name, def->description);
    say("exit of nothing %d\n", leave(NULL));

    /* One structure for all outputs, as there. */
    struct plugin plugin = { def->name, &api, NULL, NULL, { NULL } };
    for (int i = 0; i < used; i++) {
        plugin.o_ins = &outputs[i];
        plugin.context = &contexts[i];
        say("init %d %d\n", i, init(&plugin));
    }
    plugin.o_ins = plugin.context = NULL;

    pthread_t threads[2 * MOST];
    static struct flush flushes[2 * MOST];
    for (int i = 0; i < 2 * used; i++) {
        prepare(&flushes[i], flush_ctx, contexts[i / 2].remote, arguments[3 + i % 2]);
        pthread_create(&threads[i], NULL, flush, &flushes[i]);
    }
    for (int i = 0; i < 2 * used; i++) {
        pthread_join(threads[i], NULL);
        say("flush %d %d\n", i / 2, flushes[i].result);
    }

    static struct flush garbage;
    prepare(&garbage, flush_ctx, contexts[0].remote, arguments[3]);
    garbage.data[garbage.size - 1] = (char) 0xc1;
    flush(&garbage);
    say("flush of garbage %d\n", garbage.result);

    say("flushed\n");
    while (getchar() != EOF)
        ;
    for (int i = 0; i < used; i++)
        say("exit %d\n", leave(contexts[i].remote));
    /* What a reload does: the library is the same, the stores are free again. */
    plugin.o_ins = &outputs[0];
    plugin.context = &contexts[0];
    say("init again %d\n", init(&plugin));
    say("exit again %d\n", leave(contexts[0].remote));
    unregister(def);
    free(def);
    say("unload %d\n", dlclose(library));
    /* Threads that were left behind would now run what is no longer there. */
    usleep(100 * 1000);
    say("end\n");
    return 0;
}
