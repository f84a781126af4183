# Precompiled headers (docs/adr/0016): what libraries bring, never a header of Ballast, so that a touched file rebuilds no more than before. One for
# each way of compiling: optimised, optimised lightly (the client), and not at all (tests). A source with flags of its own names none.
option(BALLAST_PCH "Precompile the headers of libraries (the presets release and tsan)" OFF)

# Clang refuses to mix -fPIE and -fPIC, and programs share the header of their libraries.
if(BALLAST_PCH)
  set(CMAKE_CXX_COMPILE_OPTIONS_PIE -fPIC)
endif()

set(std_headers <algorithm> <array> <charconv> <chrono> <cmath> <cstdint> <deque> <expected> <filesystem> <functional> <map> <memory> <mutex>
    <optional> <set> <span> <sstream> <string> <string_view> <thread> <unordered_map> <utility> <variant> <vector> <fmt/format.h>
    <nlohmann/json.hpp> <boost/describe.hpp> <boost/mp11.hpp>)
set(asio_headers <boost/asio/any_io_executor.hpp> <boost/asio/as_tuple.hpp> <boost/asio/awaitable.hpp> <boost/asio/co_spawn.hpp>
    <boost/asio/detached.hpp> <boost/asio/io_context.hpp> <boost/asio/post.hpp> <boost/asio/steady_timer.hpp> <boost/asio/thread_pool.hpp>
    <boost/asio/use_awaitable.hpp>)

# ballast_pch(product HEADERS … DEPS … OPTIONS …): the target ballast_pch_product, whose header others reuse.
function(ballast_pch name)
  cmake_parse_arguments(ARG "" "" "HEADERS;DEPS;OPTIONS" ${ARGN})
  add_library(ballast_pch_${name} OBJECT ${PROJECT_SOURCE_DIR}/cmake/pch.cpp)
  target_link_libraries(ballast_pch_${name} PRIVATE fmt::fmt nlohmann_json::nlohmann_json ${ARG_DEPS})
  target_compile_options(ballast_pch_${name} PRIVATE ${ARG_OPTIONS} "SHELL:-Xclang -fno-pch-timestamp")
  target_precompile_headers(ballast_pch_${name} PRIVATE ${ARG_HEADERS})
endfunction()

if(BALLAST_PCH AND NOT BALLAST_PURE_ONLY)
  ballast_pch(product HEADERS ${std_headers} <fmt/ranges.h> ${asio_headers} <spdlog/spdlog.h> DEPS ballast_asio spdlog::spdlog)
  ballast_pch(client HEADERS ${std_headers} <CLI/CLI.hpp> DEPS CLI11::CLI11 OPTIONS ${BALLAST_LIGHT})
  ballast_pch(tests HEADERS ${std_headers} ${asio_headers} <gmock/gmock.h> <gtest/gtest.h> DEPS ballast_asio GTest::gmock GTest::gtest
              OPTIONS ${BALLAST_TEST_OPTIONS})
  set(BALLAST_PCH_KIND product) # a folder that is compiled differently sets its own
endif()

# The kind the folder asks for; nothing when there is none.
function(ballast_use_pch target)
  if(BALLAST_PCH_KIND)
    target_precompile_headers(${target} REUSE_FROM ballast_pch_${BALLAST_PCH_KIND})
    if(NOT BALLAST_PCH_KIND STREQUAL "client")
      target_link_libraries(${target} PRIVATE ballast_asio) # its header initialises statics that are defined there, in each file that sees it
    endif()
  endif()
endfunction()
