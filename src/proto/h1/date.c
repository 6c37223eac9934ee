/* SPDX-License-Identifier: MIT */
/* date.c - IMF-fixdate (RFC 9110 section 5.6.7) without libc's locale-dependent, locking
 * time functions. Pure; any thread.
 *
 * The calendar is the proleptic Gregorian one. Years are counted from March, so that the
 * leap day is the last of its year, and in eras of 400 years, which all have the same
 * length. */
#include "proto/h1/h1.h"

#define SECONDS_PER_DAY 86400
#define DAYS_PER_ERA 146097           /* 400 years */
#define DAYS_0000_TO_1970 719468      /* from 1 March of year 0 */
#define FIRST_SECOND (-62167219200LL) /* 0000-01-01 00:00:00 */
#define LAST_SECOND 253402300799LL    /* 9999-12-31 23:59:59 */

struct civil_date {
    int year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
};

/* `days` since 1970-01-01. */
static struct civil_date civil_from_days(int64_t days)
{
    days += DAYS_0000_TO_1970;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int day_of_era = (int)(days - era * DAYS_PER_ERA);
    int year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month_from_march = (5 * day_of_year + 2) / 153;
    int month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil_date){
        .year = (int)(era * 400) + year_of_era + (month <= 2 ? 1 : 0),
        .month = month,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
}

static void put_2(char *out, int value)
{
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
}

void fa__h1_format_date(char out[FA__H1_DATE_LEN], int64_t unix_seconds)
{
    static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t time = unix_seconds < FIRST_SECOND  ? FIRST_SECOND
                   : unix_seconds > LAST_SECOND ? LAST_SECOND
                                                : unix_seconds;
    int64_t days = time / SECONDS_PER_DAY;
    int second = (int)(time % SECONDS_PER_DAY);
    if (second < 0) {
        second += SECONDS_PER_DAY;
        days--;
    }
    struct civil_date date = civil_from_days(days);
    int weekday = (int)(days % 7);
    memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", FA__H1_DATE_LEN);
    memcpy(out, &weekdays[3 * (weekday < 0 ? weekday + 7 : weekday)], 3);
    put_2(out + 5, date.day);
    memcpy(out + 8, &months[3 * (date.month - 1)], 3);
    put_2(out + 12, date.year / 100);
    put_2(out + 14, date.year % 100);
    put_2(out + 17, second / 3600);
    put_2(out + 20, second / 60 % 60);
    put_2(out + 23, second % 60);
}
