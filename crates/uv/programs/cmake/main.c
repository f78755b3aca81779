#include "greet.h"
#include <stdio.h>
#include <string.h>
int main(int argc, char** argv) {
  printf("%s: hello, %s\n", greeting(), argc > 1 ? argv[1] : "you");
  return argc > 1 && !strcmp(argv[1], "fail");
}
