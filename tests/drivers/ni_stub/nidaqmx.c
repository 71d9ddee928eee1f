/* A stand-in for NI's libnidaqmx.so.1, as far as balancecore.drivers.ni_daqmx needs it.
 *
 * It has the ABI of NI-DAQmx as the client `nidaqmx` calls it: plain functions, variadic getters of attributes, strings
 * by asking for their size first, errors by code and a text that is fetched afterwards. It models the same devices as
 * ni_grpc/engine.py, written apart from it: two models that a driver has to satisfy at once. Channel 0 of a task
 * counts the ticks of its clock; after a task stopped by itself the count goes on as if it hadn't.
 * The functions sim_... are for tests. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <pthread.h>

typedef void *TaskHandle;
enum { MAX_CHANNELS = 64, MAX_TASKS = 16, NAME = 64, TEXT = 4096, FRAIL = 300 };
enum { NOT_YET = -200284, OVERWRITTEN = -200279, REMOVED = -200045, TOO_SMALL = -200228, NO_ATTRIBUTE = -200197,
       BAD_VALUE = -200077, NO_TASK = -200088, NO_CHANNEL = -200170, NO_DEVICE = -200220, TOO_FAST = -200332,
       RESERVED = -50103, NOT_RUNNING = -200473, ABORTED = -88709 };

typedef struct {
    const char *name, *product;
    int n_ai, simultaneous, delta_sigma, bridge, simulated;
    double max_hz, ranges[4];
    int gone;
} Model;

static Model models[] = {
    {"Dev1", "PCIe-6321", 16, 0, 0, 0, 0, 250e3, {0.2, 1, 5, 10}, 0},
    {"Dev2", "PCIe-6321", 16, 0, 0, 0, 0, 250e3, {0.2, 1, 5, 10}, 0},
    {"Frail1", "PCIe-6321", 16, 0, 0, 0, 0, 250e3, {0.2, 1, 5, 10}, 0},
    {"Sim1", "PCIe-6321", 16, 0, 0, 0, 1, 250e3, {0.2, 1, 5, 10}, 0},
    {"Mod1", "NI 9239", 4, 1, 1, 0, 0, 50e3, {10}, 0},
    {"Mod2", "NI 9237", 4, 1, 1, 1, 0, 50e3, {0.025}, 0},
};
enum { N_MODELS = sizeof models / sizeof models[0] };

typedef struct {
    int used, running, n, stopped, starts, no_auto_start;
    char name[NAME], channel[MAX_CHANNELS][NAME], trigger[NAME];
    Model *device[MAX_CHANNELS];
    double limit[MAX_CHANNELS], rate, began, first;
    int64_t buffer, base, position, stopped_at;
} Task;

static Task tasks[MAX_TASKS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static double still, stalled = -1;
static char last_error[TEXT], overloaded[NAME], last_channel[NAME];
static int made;

static double host(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double now(void) { return (stalled >= 0 ? stalled : host()) - still; }

static int fail(int code)
{
    snprintf(last_error, sizeof last_error, "Simulated NI-DAQmx says no.\n\nStatus Code: %d", code);
    return code;
}

static Task *task_of(TaskHandle handle)
{
    intptr_t k = (intptr_t)handle - 1;
    return k >= 0 && k < MAX_TASKS && tasks[k].used ? &tasks[k] : NULL;
}

static Model *model_of(const char *name, size_t length)
{
    for (int k = 0; k < N_MODELS; k++)
        if (strlen(models[k].name) == length && !strncasecmp(models[k].name, name, length) && !models[k].gone)
            return &models[k];
    return NULL;
}

/* NI's protocol for strings: size 0 asks how long it is. */
static int give(const char *text, va_list args)
{
    char *out = va_arg(args, char *);
    uint32_t size = va_arg(args, uint32_t);
    if (!size)
        return (int)strlen(text) + 1;
    if (size < strlen(text) + 1)
        return fail(TOO_SMALL);
    strcpy(out, text);
    return 0;
}

static void append(char *text, const char *more)
{
    if (*text)
        strncat(text, ", ", TEXT - strlen(text) - 1);
    strncat(text, more, TEXT - strlen(text) - 1);
}

static int frail(const Task *t)
{
    for (int c = 0; c < t->n; c++)
        if (!strcmp(t->device[c]->name, "Frail1"))
            return 1;
    return 0;
}

static int64_t acquired(Task *t)
{
    if (t->stopped)
        return t->stopped_at;
    double n = floor((now() - t->began) * t->rate);
    int64_t done = isfinite(t->began) && n > 0 ? (int64_t)n : 0;
    if (frail(t) && done > FRAIL) /* what is removed acquires no more, however slowly it is read */
        done = FRAIL;
    if (done - t->position > t->buffer) {
        t->stopped = 1;
        t->stopped_at = done = t->position + t->buffer;
    }
    return done;
}

static int removed(Task *t)
{
    for (int c = 0; c < t->n; c++)
        if (t->device[c]->gone)
            return 1;
    return frail(t) && acquired(t) >= FRAIL;
}

/* The system and its devices. */

int DAQmxSetRuntimeEnvironment(const char *a, const char *b, const char *c, const char *d)
{
    (void)a, (void)b, (void)c, (void)d;
    return 0;
}

int DAQmxGetErrorString(int code, char *out, uint32_t size)
{
    snprintf(out, size, "Simulated text of %d", code);
    return 0;
}

int DAQmxGetExtendedErrorInfo(char *out, uint32_t size)
{
    snprintf(out, size, "%s", last_error);
    return 0;
}

int DAQmxGetSystemInfoAttribute(int32_t attribute, ...)
{
    va_list args;
    char names[TEXT] = "";
    int code = 0;
    va_start(args, attribute);
    switch (attribute) {
    case 0x1272: *va_arg(args, uint32_t *) = 26; break;
    case 0x1923: *va_arg(args, uint32_t *) = 8; break;
    case 0x2F22: *va_arg(args, uint32_t *) = 0; break;
    case 0x193B:
        for (int k = 0; k < N_MODELS; k++)
            if (!models[k].gone)
                append(names, models[k].name);
        code = give(names, args);
        break;
    default: code = fail(NO_ATTRIBUTE);
    }
    va_end(args);
    return code;
}

int DAQmxGetDeviceAttribute(const char *device, int32_t attribute, ...)
{
    va_list args;
    char names[TEXT] = "", one[2 * NAME];
    int code = 0;
    Model *m = model_of(device, strlen(device));
    if (!m)
        return fail(NO_DEVICE);
    va_start(args, attribute);
    switch (attribute) {
    case 0x0631: code = give(m->product, args); break;
    case 0x0632: *va_arg(args, uint32_t *) = 0x01A00000u + (uint32_t)(m - models); break;
    case 0x22CA: *va_arg(args, uint32_t *) = (uint32_t)m->simulated; break;
    case 0x298F: *va_arg(args, uint32_t *) = (uint32_t)m->simultaneous; break;
    case 0x231E:
        for (int k = 0; k < m->n_ai; k++) {
            snprintf(one, sizeof one, "%s/ai%d", m->name, k);
            append(names, one);
        }
        code = give(names, args);
        break;
    default: code = fail(NO_ATTRIBUTE);
    }
    va_end(args);
    return code;
}

/* Tasks. */

int DAQmxCreateTask(const char *name, TaskHandle *out)
{
    pthread_mutex_lock(&lock);
    int code = fail(RESERVED);
    for (int k = 0; k < MAX_TASKS && code; k++)
        if (!tasks[k].used) {
            tasks[k] = (Task){.used = 1, .rate = 1000, .buffer = 10000};
            if (*name)
                snprintf(tasks[k].name, NAME, "%s", name);
            else
                snprintf(tasks[k].name, NAME, "_unnamedTask<%X>", ++made);
            *out = (TaskHandle)(intptr_t)(k + 1);
            code = 0;
        }
    pthread_mutex_unlock(&lock);
    return code;
}

int DAQmxStopTask(TaskHandle handle)
{
    Task *t = task_of(handle);
    if (!t)
        return fail(NO_TASK);
    int was = t->running && t->stopped;
    t->running = 0;
    return was ? fail(OVERWRITTEN) : 0; /* what ended the task is told once more */
}

int DAQmxClearTask(TaskHandle handle)
{
    Task *t = task_of(handle);
    if (!t)
        return fail(NO_TASK);
    t->running = t->used = 0;
    return 0;
}

int DAQmxStartTask(TaskHandle handle)
{
    Task *t = task_of(handle);
    if (!t)
        return fail(NO_TASK);
    for (int k = 0; k < MAX_TASKS; k++)
        if (tasks[k].used && tasks[k].running && &tasks[k] != t)
            for (int a = 0; a < t->n; a++)
                for (int b = 0; b < tasks[k].n; b++)
                    if (t->device[a] == tasks[k].device[b])
                        return fail(RESERVED);
    const char *terminal = strrchr(t->trigger, '/') ? strrchr(t->trigger, '/') + 1 : t->trigger;
    int fires = !strcmp(terminal, "PFI0") || (!strcmp(terminal, "PFI1") && !t->starts++); /* PFI1 fires once */
    double delay = !*terminal ? 0 : fires ? 0.05 : INFINITY;
    if (!t->stopped)
        t->first = now() + delay;
    t->base = t->stopped ? llround((now() - t->first) * t->rate) : 0;
    t->began = now() + delay;
    t->position = 0;
    t->stopped = 0;
    t->running = 1;
    return 0;
}

static int add(TaskHandle handle, const char *physical, double low, double high, int bridge)
{
    Task *t = task_of(handle);
    const char *slash = strchr(physical, '/');
    if (!t)
        return fail(NO_TASK);
    Model *m = slash ? model_of(physical, (size_t)(slash - physical)) : NULL;
    if (!m)
        return fail(NO_DEVICE);
    int number = strncasecmp(slash, "/ai", 3) ? -1 : atoi(slash + 3); /* one channel a call is all that is used */
    if (number < 0 || number >= m->n_ai || t->n == MAX_CHANNELS)
        return fail(NO_CHANNEL);
    double wanted = fmax(fabs(low), fabs(high)) * (1 - 1e-9), limit = 0;
    for (int k = 0; k < 4 && !limit; k++)
        if (m->ranges[k] >= wanted)
            limit = m->ranges[k];
    if (!limit || bridge != m->bridge)
        return fail(BAD_VALUE);
    t->device[t->n] = m;
    t->limit[t->n] = limit;
    snprintf(t->channel[t->n], NAME, "%s", physical);
    snprintf(last_channel, NAME, "%s", physical);
    t->n++;
    return 0;
}

int DAQmxCreateAIVoltageChan(TaskHandle task, const char *physical, const char *name, int terminal, double low,
                             double high, int units, const char *scale)
{
    (void)name, (void)terminal, (void)units, (void)scale;
    return add(task, physical, low, high, 0);
}

int DAQmxCreateAIBridgeChan(TaskHandle task, const char *physical, const char *name, double low, double high, int units,
                            int config, int source, double excitation, double ohm, const char *scale)
{
    (void)name, (void)units, (void)config, (void)source, (void)excitation, (void)ohm, (void)scale;
    return add(task, physical, low, high, 1);
}

int DAQmxInternalGetLastCreatedChan(char *out, uint32_t size)
{
    if (!size)
        return (int)strlen(last_channel) + 1;
    if (size < strlen(last_channel) + 1)
        return fail(TOO_SMALL);
    strcpy(out, last_channel);
    return 0;
}

int DAQmxCfgSampClkTiming(TaskHandle handle, const char *source, double rate, int edge, int mode, uint64_t samples)
{
    static const double limit[] = {100, 10e3, 1e6, INFINITY};
    static const int64_t size[] = {1000, 10000, 100000, 1000000};
    Task *t = task_of(handle);
    (void)source, (void)edge, (void)mode;
    if (!t)
        return fail(NO_TASK);
    double taken = 0;
    for (int c = 0; c < t->n; c++) {
        Model *m = t->device[c];
        if (rate > m->max_hz / (m->simultaneous ? 1 : t->n))
            return fail(TOO_FAST);
        double mine = 100e6 / round(100e6 / rate);
        if (m->delta_sigma) {
            int n = 31;
            while (n > 1 && 12.8e6 / 256 / n < rate - 1e-9)
                n--;
            mine = 12.8e6 / 256 / n;
        }
        taken = fmax(taken, mine);
    }
    t->rate = taken;
    int k = 0;
    while (rate > limit[k])
        k++;
    t->buffer = (int64_t)samples > size[k] ? (int64_t)samples : size[k];
    return 0;
}

int DAQmxCfgDigEdgeStartTrig(TaskHandle handle, const char *source, int edge)
{
    Task *t = task_of(handle);
    (void)edge;
    if (!t)
        return fail(NO_TASK);
    snprintf(t->trigger, NAME, "%s", source);
    return 0;
}

int DAQmxDisableStartTrig(TaskHandle handle)
{
    Task *t = task_of(handle);
    if (!t)
        return fail(NO_TASK);
    *t->trigger = 0;
    return 0;
}

/* Attributes of tasks. */

int DAQmxGetTaskAttribute(TaskHandle handle, int32_t attribute, ...)
{
    Task *t = task_of(handle);
    va_list args;
    char names[TEXT] = "";
    int code = 0;
    if (!t)
        return fail(NO_TASK);
    va_start(args, attribute);
    switch (attribute) {
    case 0x1276: code = give(t->name, args); break;
    case 0x1273:
        for (int c = 0; c < t->n; c++)
            append(names, t->channel[c]);
        code = give(names, args);
        break;
    case 0x2181: *va_arg(args, uint32_t *) = (uint32_t)t->n; break;
    default: code = fail(NO_ATTRIBUTE);
    }
    va_end(args);
    return code;
}

int DAQmxGetTimingAttribute(TaskHandle handle, int32_t attribute, ...)
{
    Task *t = task_of(handle);
    va_list args;
    int code = 0;
    if (!t)
        return fail(NO_TASK);
    va_start(args, attribute);
    if (attribute == 0x1344)
        *va_arg(args, double *) = t->rate;
    else if (attribute == 0x1848 && t->n && !t->device[0]->simultaneous)
        *va_arg(args, double *) = fmax(1 / (1 / t->device[0]->max_hz + 10e-6), t->rate * t->n);
    else
        code = fail(NO_ATTRIBUTE);
    va_end(args);
    return code;
}

int DAQmxGetChanAttribute(TaskHandle handle, const char *channel, int32_t attribute, ...)
{
    Task *t = task_of(handle);
    va_list args;
    if (!t)
        return fail(NO_TASK);
    for (int c = 0; c < t->n; c++)
        if (!strcmp(t->channel[c], channel) && (attribute == 0x1815 || attribute == 0x1816)) {
            va_start(args, attribute);
            *va_arg(args, double *) = attribute == 0x1815 ? t->limit[c] : -t->limit[c];
            va_end(args);
            return 0;
        }
    return fail(NO_ATTRIBUTE);
}

int DAQmxSetBufferAttribute(TaskHandle handle, int32_t attribute, ...)
{
    Task *t = task_of(handle);
    va_list args;
    if (!t)
        return fail(NO_TASK);
    if (attribute != 0x186C)
        return fail(NO_ATTRIBUTE);
    va_start(args, attribute);
    t->buffer = va_arg(args, uint32_t);
    va_end(args);
    return 0;
}

int DAQmxSetReadAttribute(TaskHandle handle, int32_t attribute, ...)
{
    Task *t = task_of(handle);
    va_list args;
    if (!t)
        return fail(NO_TASK);
    if (attribute != 0x1826)
        return fail(NO_ATTRIBUTE);
    va_start(args, attribute);
    t->no_auto_start = !va_arg(args, uint32_t);
    va_end(args);
    return 0;
}

int DAQmxGetReadAttribute(TaskHandle handle, int32_t attribute, ...)
{
    Task *t = task_of(handle);
    va_list args;
    char names[TEXT] = "";
    int code = 0;
    if (!t)
        return fail(NO_TASK);
    int64_t have = acquired(t);
    for (int c = 0; c < t->n; c++)
        if (!strcmp(t->channel[c], overloaded))
            append(names, t->channel[c]);
    va_start(args, attribute);
    switch (attribute) {
    case 0x1223: *va_arg(args, uint32_t *) = (uint32_t)(have - t->position); break;
    case 0x192A: *va_arg(args, uint64_t *) = (uint64_t)have; break;
    case 0x1221: *va_arg(args, uint64_t *) = (uint64_t)t->position; break;
    case 0x2174: *va_arg(args, uint32_t *) = *names != 0; break;
    case 0x2175: code = give(names, args); break;
    default: code = fail(NO_ATTRIBUTE);
    }
    va_end(args);
    return code;
}

/* Reading: by channel (0) or by frame (1), packed without holes however many were asked for. */

int DAQmxReadAnalogF64(TaskHandle handle, int32_t wanted, double timeout, int fill, double *out, uint32_t size,
                       int32_t *read, uint32_t *reserved)
{
    Task *t = task_of(handle);
    double until = host() + (timeout < 0 ? INFINITY : timeout);
    (void)reserved;
    *read = 0;
    if (!t)
        return fail(NO_TASK);
    if (!t->running) {
        int code = t->no_auto_start ? fail(NOT_RUNNING) : DAQmxStartTask(handle);
        if (code)
            return code;
    }
    int64_t have;
    int status = 0;
    for (;;) {
        if (!t->running)
            return fail(ABORTED);
        int64_t total = acquired(t);
        if (t->stopped)
            return fail(OVERWRITTEN);
        have = total - t->position;
        if (have >= wanted)
            break;
        if (removed(t))
            return fail(REMOVED);
        if (host() >= until) {
            status = NOT_YET;
            have = timeout ? have : 0; /* without waiting it refuses what it can't fill */
            break;
        }
        double nap = fmin(fmin((double)(wanted - have) / t->rate, until - host()), 0.02);
        nanosleep(&(struct timespec){0, (long)(1e9 * fmax(nap, 1e-5))}, NULL);
    }
    int32_t n = have < wanted ? (int32_t)have : wanted;
    if ((uint64_t)n * (uint64_t)t->n > size)
        return fail(TOO_SMALL);
    for (int32_t k = 0; k < n; k++) {
        int64_t tick = t->base + t->position + k;
        for (int c = 0; c < t->n; c++)
            out[fill ? k * t->n + c : c * n + k] = c ? (double)(tick % 1000) * 1e-3 + c : (double)tick;
    }
    t->position += n;
    *read = n;
    return status ? fail(status) : 0;
}

/* For tests. */

void sim_stall(void) { stalled = stalled < 0 ? host() : stalled; }

void sim_resume(void)
{
    if (stalled >= 0)
        still += host() - stalled;
    stalled = -1;
}

void sim_jump(const char *seconds) { still -= atof(seconds); }

void sim_remove(const char *device)
{
    Model *m = model_of(device, strlen(device));
    if (m)
        m->gone = 1;
}

void sim_overload(const char *channel) { snprintf(overloaded, sizeof overloaded, "%s", channel); }

void sim_heal(void)
{
    sim_resume();
    *overloaded = 0;
    for (int k = 0; k < N_MODELS; k++)
        models[k].gone = 0;
    memset(tasks, 0, sizeof tasks);
}
