#include "greet.h"
#include "greeting.h"
const char* greeting(void) { return GREETING; }
