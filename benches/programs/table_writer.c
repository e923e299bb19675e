/* A model of no cost: reads its parameter file, writes a table of 20 kB, prints its summary.
 *
 *   table_writer PARAMETERS TABLE
 *
 * Parameters are lines of `NAME,value`. Linked statically, so that starting it costs as little as a program can. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 20000 };

int main(int argc, char **argv) {
    static char parameters[4096], table[SIZE + 64];
    if (argc != 3) return 64;
    int in = open(argv[1], O_RDONLY);
    if (in < 0) { perror(argv[1]); return 1; }
    ssize_t got = read(in, parameters, sizeof parameters - 1);
    close(in);
    if (got < 0) return 1;
    double rate = 0;
    const char *found = strstr(parameters, "RATE,");
    if (found) rate = atof(found + 5);
    int length = sprintf(table, "unit,salary,tax\n"), rows = 0;
    long long basis_points = (long long)(rate * 10000 + 0.5), sum = 0;
    for (; length < SIZE; rows++) {
        int salary = rows * 137 % 99991;
        int cents = (int)(basis_points * salary / 100);
        sum += cents;
        length += sprintf(table + length, "%d,%d,%d.%02d\n", rows, salary, cents / 100, cents % 100);
    }
    int out = open(argv[2], O_CREAT | O_WRONLY | O_TRUNC, 0644);
    if (out < 0) { perror(argv[2]); return 1; }
    if (write(out, table, length) != length) return 1;
    close(out);
    printf("revenue,%lld.%02lld\nunits,%d\n", sum / 100, sum % 100, rows);
    return 0;
}
