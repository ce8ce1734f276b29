/* Compiled into every file of the nginx under AddressSanitizer: its options, as nginx clears its environment.
   Reports go to standard error, which nginx points at its error log, where every scenario looks for alarms. */
#ifndef L402_MEMCHECK_OPTIONS_H
#define L402_MEMCHECK_OPTIONS_H

__attribute__((weak, used, no_sanitize_address))
const char *
__asan_default_options(void)
{
    /* Leaks are not looked for: that needs ptrace, which containers refuse; nginx also leaves its own tables at its end. An abort is one of the things under test; the rest of a report needs the frames. */
    return "handle_abort=0:detect_leaks=0:detect_stack_use_after_return=0:strict_string_checks=1:"
           "fast_unwind_on_malloc=1:malloc_context_size=12";
}

#endif
