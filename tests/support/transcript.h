/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Device transcripts: text files that drive one device and say what it answers.
 *
 * The file NAME.dev is about the device type NAME.  Numbers are hexadecimal
 * except those marked (d).  `#` begins a comment.
 *
 *   prop NAME N(d)       a property; before everything else
 *   clock N(d)[ns|us|ms] move guest time, by default seconds, and fire timers
 *   r8|r16|r32|r64 OFF VAL   read and compare; VAL `-`: bus error
 *   w8|w16|w32|w64 OFF VAL   write
 *   irq [N(d)] LEVEL     level of output N, by default 0
 *   rises N(d) COUNT(d)  rising edges of output N since the last such line
 *   input N(d) LEVEL     drive an input of an interrupt controller
 *   guest-errors N(d)    counted since the start
 *   char-in TEXT         bytes arrive; \n \r \\ \xNN
 *   char-out TEXT        what was sent since the last such line
 *   char-room N(d)       how many bytes the backend still takes; `-`: any number
 *   net-in BYTES [0]     a frame arrives, and is taken or (0) refused
 *   net-out [BYTES]      the next frame that was sent; without BYTES: there is none
 *   net-room N(d)        how many frames the network still takes; `-`: any number
 *   net-link 0|1         the cable
 *   poke ADDR BYTES      write guest memory: pairs of digits, `_` is skipped
 *   peek ADDR BYTES      read guest memory and compare
 *   reset                reset the device
 *   snapshot             save, load, save: both are equal
 */
#ifndef TESTS_SUPPORT_TRANSCRIPT_H
#define TESTS_SUPPORT_TRANSCRIPT_H

#include <stdbool.h>

/* Run one file.  False: it failed, and stderr has file, line and reason. */
bool transcript_run(const char *path);

#endif
