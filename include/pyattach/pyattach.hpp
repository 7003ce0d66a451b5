#pragma once
#include "pyattach.h"
