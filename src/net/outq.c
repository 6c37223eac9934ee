/* SPDX-License-Identifier: MIT */
/* outq.c - a list of segments waiting for one socket (see outq.h). On the reactor's thread.
 *
 *   COPIED    a pooled block: this header, then the bytes; the last one takes more
 *   BORROWED  somebody else's bytes and the function that gives them back
 *   FILE      a range of an open file
 *
 * Invariant: every segment in the list has something left to send. Segments that are
 * through leave the list first and are freed at the very end of a call, when the queue is
 * consistent and no longer looked at: a release function may run any code. */
#include "net/outq.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fasterapi/alloc.h>

#include "net/socket.h"

#define IOV_MOST 64
#define CALLS_PER_FLUSH 4           /* fairness between connections */
#define FILE_STEP ((size_t)1048576) /* per sendfile, for the same reason */
#define BLOCK_MOST ((size_t)16384)  /* up to here each new block is twice the one before */
#define BOUNCE_BYTES 16384          /* for files that sendfile cannot read */

enum seg_kind { SEG_COPIED, SEG_BORROWED, SEG_FILE };

struct fa__outq_seg {
    struct fa__outq_seg *next;
    enum seg_kind kind;
    int file_fd;                  /* FILE */
    const char *start;            /* COPIED, BORROWED: what is left begins here ... */
    size_t len;                   /* ... and is that long */
    size_t block_size;            /* COPIED: of the whole block */
    off_t offset;                 /* FILE: what is left begins here ... */
    uint64_t left;                /* ... and is that long */
    bool bounce;                  /* FILE: sendfile has refused it */
    fa__outq_release_fn *release; /* BORROWED */
    void *user;
};

void fa__outq_init(struct fa__outq *q, struct fa_pool *pool)
{
    *q = (struct fa__outq){.pool = pool};
}

static void free_seg(struct fa_pool *pool, struct fa__outq_seg *seg)
{
    if (seg->kind == SEG_COPIED) {
        fa_pool_release(pool, seg, seg->block_size);
        return;
    }
    fa__outq_release_fn *release = seg->kind == SEG_BORROWED ? seg->release : NULL;
    void *user = seg->user;
    if (seg->kind == SEG_FILE)
        fa__socket_close(seg->file_fd);
    fa_free(seg);
    if (release != NULL)
        release(user);
}

/* Frees a list that belongs to no queue any more. `pool` outlives every queue. */
static void free_list(struct fa_pool *pool, struct fa__outq_seg *seg)
{
    while (seg != NULL) {
        struct fa__outq_seg *next = seg->next;
        free_seg(pool, seg);
        seg = next;
    }
}

void fa__outq_clean_up(struct fa__outq *q)
{
    struct fa_pool *pool = q->pool;
    struct fa__outq_seg *list = q->first;
    struct fa__outq_seg *reserved = q->reserved;
    uint64_t sent = q->sent;
    fa__outq_init(q, pool);
    q->sent = sent;
    free_list(pool, reserved);
    free_list(pool, list);
}

static void append(struct fa__outq *q, struct fa__outq_seg *seg)
{
    seg->next = NULL;
    if (q->last != NULL)
        q->last->next = seg;
    else
        q->first = seg;
    q->last = seg;
}

/* ---- copied bytes ------------------------------------------------------------------- */

/* Free bytes behind the last segment. */
static size_t room(const struct fa__outq *q)
{
    const struct fa__outq_seg *last = q->last;
    if (last == NULL || last->kind != SEG_COPIED)
        return 0;
    return (size_t)((const char *)last + last->block_size - (last->start + last->len));
}

static char *end_of(struct fa__outq_seg *seg)
{
    size_t used = (size_t)(seg->start - (const char *)seg) + seg->len;
    return (char *)seg + used;
}

/* An empty segment with room for `payload` bytes, in no list yet. */
static struct fa__outq_seg *new_block(struct fa__outq *q, size_t payload)
{
    size_t want;
    if (__builtin_add_overflow(payload, sizeof(struct fa__outq_seg), &want))
        return NULL;
    if (q->last != NULL && q->last->kind == SEG_COPIED) {
        size_t doubled = q->last->block_size * 2;
        if (doubled > BLOCK_MOST)
            doubled = BLOCK_MOST;
        if (want < doubled)
            want = doubled;
    }
    size_t size;
    struct fa__outq_seg *seg = fa_pool_acquire(q->pool, want, &size);
    if (seg == NULL)
        return NULL;
    *seg = (struct fa__outq_seg){
        .kind = SEG_COPIED,
        .start = (const char *)(seg + 1),
        .block_size = size,
    };
    return seg;
}

static void fill(struct fa__outq *q, struct fa__outq_seg *seg, const char *from, size_t len)
{
    memcpy(end_of(seg), from, len);
    seg->len += len;
    q->queued += len;
}

int fa__outq_write(struct fa__outq *q, struct fa_span data)
{
    if (data.len == 0)
        return 0;
    size_t fits = room(q);
    if (fits > data.len)
        fits = data.len;
    struct fa__outq_seg *seg = NULL;
    if (fits < data.len) {
        seg = new_block(q, data.len - fits);
        if (seg == NULL)
            return FA_ENOMEM;
    }
    if (fits > 0)
        fill(q, q->last, data.ptr, fits);
    if (seg != NULL) {
        fill(q, seg, data.ptr + fits, data.len - fits);
        append(q, seg);
    }
    return 0;
}

char *fa__outq_reserve(struct fa__outq *q, size_t size)
{
    FA_ASSERT(q->reserved == NULL);
    if (size > 0 && room(q) >= size)
        return end_of(q->last);
    q->reserved = new_block(q, size);
    return q->reserved != NULL ? end_of(q->reserved) : NULL;
}

void fa__outq_commit(struct fa__outq *q, size_t used)
{
    struct fa__outq_seg *seg = q->reserved;
    if (seg == NULL) {
        FA_ASSERT(used <= room(q));
        if (used > 0)
            q->last->len += used;
    } else {
        FA_ASSERT(used <= seg->block_size - sizeof(*seg));
        q->reserved = NULL;
        seg->len = used;
        if (used > 0)
            append(q, seg);
        else
            free_seg(q->pool, seg);
    }
    q->queued += used;
}

/* ---- borrowed bytes and files ------------------------------------------------------- */

int fa__outq_borrow(struct fa__outq *q, struct fa_span data, fa__outq_release_fn *release,
                    void *user)
{
    if (data.len < FA__OUTQ_COPY_BYTES) {
        int err = fa__outq_write(q, data);
        if (err < 0)
            return err;
        if (release != NULL)
            release(user);
        return 0;
    }
    struct fa__outq_seg *seg = fa_malloc(sizeof(*seg));
    if (seg == NULL)
        return FA_ENOMEM;
    *seg = (struct fa__outq_seg){
        .kind = SEG_BORROWED,
        .start = data.ptr,
        .len = data.len,
        .release = release,
        .user = user,
    };
    append(q, seg);
    q->queued += data.len;
    return 0;
}

int fa__outq_file(struct fa__outq *q, int file_fd, int64_t offset, int64_t length)
{
    int64_t end;
    if (file_fd < 0 || offset < 0 || length < 0 || __builtin_add_overflow(offset, length, &end))
        return FA_EINVAL;
    if (length == 0) {
        fa__socket_close(file_fd);
        return 0;
    }
    struct fa__outq_seg *seg = fa_malloc(sizeof(*seg));
    if (seg == NULL)
        return FA_ENOMEM;
    *seg = (struct fa__outq_seg){
        .kind = SEG_FILE,
        .file_fd = file_fd,
        .offset = offset,
        .left = (uint64_t)length,
    };
    append(q, seg);
    q->file_queued += (uint64_t)length;
    return 0;
}

/* ---- flush -------------------------------------------------------------------------- */

/* Sends the run of memory at the front. Returns what the kernel took, or an error;
 * `*wanted` is what it was offered. */
static ssize_t send_memory(const struct fa__outq *q, int fd, size_t *wanted)
{
    struct iovec iov[IOV_MOST];
    size_t count = 0;
    size_t total = 0;
    const struct fa__outq_seg *seg = q->first;
    for (; seg != NULL && seg->kind != SEG_FILE && count < IOV_MOST; seg = seg->next) {
        iov[count++] = (struct iovec){(void *)(uintptr_t)seg->start, seg->len};
        total += seg->len;
    }
    *wanted = total;
    /* MSG_MORE: a head and the file behind it share their packets. */
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (seg != NULL ? MSG_MORE : 0);
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
    for (;;) {
        ssize_t sent = count == 1 ? send(fd, iov[0].iov_base, iov[0].iov_len, flags)
                                  : sendmsg(fd, &message, flags);
        if (FA_LIKELY(sent >= 0))
            return sent;
        if (errno != EINTR)
            return fa_error_from_errno(errno);
    }
}

/* sendfile knows no MSG_NOSIGNAL: the signal is held back for this thread and taken out
 * again if the call has raised it. One that was pending before is left alone. */
static ssize_t sendfile_without_signal(int fd, int file_fd, off_t *offset, size_t count)
{
    sigset_t pipe_set;
    sigset_t before;
    sigset_t pending;
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigemptyset(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_set, &before);
    bool was_blocked = sigismember(&before, SIGPIPE) == 1;
    if (was_blocked)
        sigpending(&pending);
    ssize_t sent = sendfile(fd, file_fd, offset, count);
    int saved_errno = errno;
    if (sent < 0 && saved_errno == EPIPE && sigismember(&pending, SIGPIPE) != 1) {
        struct timespec now = {0};
        while (sigtimedwait(&pipe_set, NULL, &now) < 0 && errno == EINTR)
            ;
    }
    if (!was_blocked)
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved_errno;
    return sent;
}

/* For files that sendfile refuses (some of /proc, for one): through a buffer. */
static ssize_t send_bounced(int fd, const struct fa__outq_seg *seg, size_t count)
{
    char bytes[BOUNCE_BYTES];
    if (count > sizeof(bytes))
        count = sizeof(bytes);
    ssize_t got;
    do {
        got = pread(seg->file_fd, bytes, count, seg->offset);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return FA_ESYS;
    return got == 0 ? FA_ETRUNCATED : fa__socket_send(fd, fa_span(bytes, (size_t)got));
}

/* Sends from the file at the front, as send_memory. */
static ssize_t send_file(struct fa__outq_seg *seg, int fd, size_t *wanted)
{
    size_t count = seg->left < FILE_STEP ? (size_t)seg->left : FILE_STEP;
    *wanted = seg->bounce && count > BOUNCE_BYTES ? BOUNCE_BYTES : count;
    if (seg->bounce)
        return send_bounced(fd, seg, count);
    for (;;) {
        off_t offset = seg->offset;
        ssize_t sent = sendfile_without_signal(fd, seg->file_fd, &offset, count);
        if (FA_LIKELY(sent > 0))
            return sent;
        if (sent == 0)
            return FA_ETRUNCATED;
        if (errno == EINVAL || errno == ENOSYS) {
            seg->bounce = true;
            return send_file(seg, fd, wanted);
        }
        if (errno != EINTR)
            return fa_error_from_errno(errno);
    }
}

/* Takes `count` sent bytes off the front; segments that are through go onto `*through`. */
static void advance(struct fa__outq *q, size_t count, struct fa__outq_seg ***through)
{
    q->sent += count;
    while (count > 0) {
        struct fa__outq_seg *seg = q->first;
        FA_ASSERT(seg != NULL);
        bool is_file = seg->kind == SEG_FILE;
        uint64_t left = is_file ? seg->left : seg->len;
        size_t taken = left < count ? (size_t)left : count;
        count -= taken;
        if (is_file) {
            seg->offset += (off_t)taken;
            seg->left -= taken;
            q->file_queued -= taken;
        } else {
            seg->start += taken;
            seg->len -= taken;
            q->queued -= taken;
        }
        if (taken < left)
            return;
        q->first = seg->next;
        if (q->first == NULL)
            q->last = NULL;
        seg->next = NULL;
        **through = seg;
        *through = &seg->next;
    }
}

int fa__outq_flush(struct fa__outq *q, int fd)
{
    FA_ASSERT(q->reserved == NULL);
    struct fa_pool *pool = q->pool;
    struct fa__outq_seg *through = NULL;
    struct fa__outq_seg **through_end = &through;
    int err = 0;
    for (int calls = 0; q->first != NULL && calls < CALLS_PER_FLUSH; calls++) {
        size_t wanted = 0;
        ssize_t sent = q->first->kind == SEG_FILE ? send_file(q->first, fd, &wanted)
                                                  : send_memory(q, fd, &wanted);
        if (FA_UNLIKELY(sent < 0)) {
            err = (int)sent;
            break;
        }
        advance(q, (size_t)sent, &through_end);
        if ((size_t)sent < wanted)
            break; /* the socket is full: asking it again would only say so */
    }
    if (err == 0 && q->first != NULL)
        err = FA_EAGAIN;
    free_list(pool, through);
    return err;
}
