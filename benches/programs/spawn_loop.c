/* The least that running commands can cost: posix_spawn and waitpid, so many in flight, nothing else.
 *
 *   spawn_loop WIDTH < COMMANDS
 *
 * Each line is one command, its words parted by tabs; standard output goes to /dev/null. Prints the wall time and the
 * CPU time of the commands, both in seconds. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec * 1e-9;
}

static double seconds(struct timeval time) { return time.tv_sec + time.tv_usec * 1e-6; }

int main(int argc, char **argv) {
    if (argc != 2) return 64;
    int width = atoi(argv[1]), running = 0, failed = 0, more = 1;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    static char line[8192];
    double began = now();
    while (more || running > 0) {
        while (more && running < width) {
            if (!fgets(line, sizeof line, stdin)) { more = 0; break; }
            line[strcspn(line, "\n")] = 0;
            char *words[64] = {0};
            int count = 0;
            for (char *word = strtok(line, "\t"); word && count < 63; word = strtok(NULL, "\t")) words[count++] = word;
            pid_t pid;
            if (count == 0) continue;
            if (posix_spawn(&pid, words[0], &actions, NULL, words, environ)) { perror(words[0]); return 1; }
            running++;
        }
        int status;
        if (running > 0 && waitpid(-1, &status, 0) > 0) { running--; failed += status != 0; }
    }
    double wall = now() - began;
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    printf("%.6f %.6f\n", wall, seconds(used.ru_utime) + seconds(used.ru_stime));
    if (failed) fprintf(stderr, "%d commands failed\n", failed);
    return failed != 0;
}
