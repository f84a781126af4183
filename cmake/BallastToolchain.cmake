# The compiler and how it is used. gcc below 14 corrupts coroutine frames (ARCHITECTURE.md 2), so it may only build the pure modules.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

option(BALLAST_PURE_ONLY "Build only the pure modules (a second opinion by another compiler)" OFF)
option(BALLAST_LAB_TESTS "Register the tests that need root and the lab" ON)
set(BALLAST_SANITIZE "" CACHE STRING "Sanitizers, for example address,undefined or thread")

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14 AND NOT BALLAST_PURE_ONLY)
  message(FATAL_ERROR "gcc ${CMAKE_CXX_COMPILER_VERSION} miscompiles coroutines: use clang++-19 (cmake --preset release), "
                      "or -DBALLAST_PURE_ONLY=ON for the pure modules alone")
endif()

find_program(CCACHE ccache)
if(CCACHE)
  if(BALLAST_PCH) # else as before: a changed command would run every compilation again
    set(pch_sloppiness CCACHE_SLOPPINESS=pch_defines,time_macros)
  endif()
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} ${pch_sloppiness} ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Debug carries line tables only: half the object size, and a backtrace needs no more.
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -gline-tables-only")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
# For what runs once a request or once a command: most of the time of -O2 for a gain nobody feels. And tests need none of it.
set(BALLAST_LIGHT "$<$<CONFIG:Release>:-O1>")
set(BALLAST_TEST_OPTIONS "$<$<CONFIG:Release>:-O0>")
add_compile_options(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough)
add_compile_definitions(_GLIBCXX_ASSERTIONS)
if(BALLAST_SANITIZE)
  set(BALLAST_TEST_OPTIONS) # tests as the rest: stacks are read in them, too
  add_compile_options(-O1 -fsanitize=${BALLAST_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${BALLAST_SANITIZE})
endif()
