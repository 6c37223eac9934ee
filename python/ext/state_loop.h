/* SPDX-License-Identifier: MIT */
/* state_loop.h - what the loop, its reactor and its tasks keep in the module state; see
 * state.h. */
#ifndef FASTERAPI_EXT_STATE_LOOP_H
#define FASTERAPI_EXT_STATE_LOOP_H

/* The slots of asyncio.Handle that handle.c works on. */
#define FA_PY_HANDLE_SLOTS 7

/* Members of the state that are no references. */
#define FA_PY_LOOP_FIELDS                                                                          \
    Py_ssize_t handle_offsets[FA_PY_HANDLE_SLOTS];                                                 \
    bool handle_slots_known;

#define FA_PY_LOOP_OBJECTS(X)                                                                      \
    X(reactor_type)                                                                                \
    X(selector_type)                                                                               \
    X(selector_map_type)                                                                           \
    X(loop_type)                                                                                   \
    X(task_type)                                                                                   \
    X(replay_type)                                                                                 \
    X(done_type)                                                                                   \
    /* from asyncio */                                                                             \
    X(asyncio_task)      /* _asyncio.Task */                                                       \
    X(register_task)     /* asyncio.tasks._register_task */                                        \
    X(cancelled_error)   /* asyncio.CancelledError */                                              \
    X(is_coroutine)      /* asyncio.iscoroutine */                                                 \
    X(swap_current_task) /* asyncio.tasks._swap_current_task, from 3.12 on; else NULL */           \
    X(enter_task)                                                                                  \
    X(leave_task)                                                                                  \
    X(current_tasks)      /* the dict behind them where there is one, else NULL */                 \
    X(handle_type)        /* asyncio.Handle */                                                     \
    X(timer_handle_type)  /* asyncio.TimerHandle */                                                \
    X(handle_run)         /* Handle._run as the module is loaded */                                \
    X(format_callback)    /* format_helpers._format_callback_source */                             \
    X(base_call_soon)     /* BaseEventLoop.call_soon */                                            \
    X(base_selector_loop) /* BaseSelectorEventLoop */                                              \
    X(format_handle)      /* base_events._format_handle */                                         \
    X(format_coroutine)   /* coroutines._format_coroutine */                                       \
    X(base_events)        /* the module asyncio.base_events */                                     \
    /* from elsewhere */                                                                           \
    X(selector_key) /* selectors.SelectorKey */                                                    \
    X(mapping_eq)   /* collections.abc.Mapping.__eq__ */                                           \
    X(keys_view)    /* collections.abc.KeysView, ValuesView, ItemsView */                          \
    X(values_view)                                                                                 \
    X(items_view)                                                                                  \
    X(deque_type)                                                                                  \
    X(deque_append)                                                                                \
    X(deque_popleft)                                                                               \
    X(heappop)                                                                                     \
    X(heapify)

#define FA_PY_LOOP_NAMES(X)                                                                        \
    X(__class__)                                                                                   \
    X(_cancelled)                                                                                  \
    X(_current_handle)                                                                             \
    X(_log_traceback)                                                                              \
    X(_process_events)                                                                             \
    X(_remove_reader)                                                                              \
    X(_remove_writer)                                                                              \
    X(_run)                                                                                        \
    X(_scheduled)                                                                                  \
    X(_when)                                                                                       \
    X(add_done_callback)                                                                           \
    X(add_reader)                                                                                  \
    X(append)                                                                                      \
    X(args)                                                                                        \
    X(call_at)                                                                                     \
    X(call_exception_handler)                                                                      \
    X(call_soon)                                                                                   \
    X(cancel)                                                                                      \
    X(close)                                                                                       \
    X(context)                                                                                     \
    X(create_task)                                                                                 \
    X(done)                                                                                        \
    X(exception)                                                                                   \
    X(expire)                                                                                      \
    X(fileno)                                                                                      \
    X(get_debug)                                                                                   \
    X(get_loop)                                                                                    \
    X(get_task_factory)                                                                            \
    X(handle)                                                                                      \
    X(is_closed)                                                                                   \
    X(logger)                                                                                      \
    X(loop)                                                                                        \
    X(message)                                                                                     \
    X(msg)                                                                                         \
    X(popleft)                                                                                     \
    X(remove_reader)                                                                               \
    X(result)                                                                                      \
    X(select)                                                                                      \
    X(slow_callback_duration)                                                                      \
    X(throw)                                                                                       \
    X(time)                                                                                        \
    X(turn)                                                                                        \
    X(uncancel)                                                                                    \
    X(value)                                                                                       \
    X(warning)

#endif
