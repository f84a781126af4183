# Third-party libraries, all from Debian 12 (ARCHITECTURE.md 3), each behind one target.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(GTest REQUIRED)
find_package(PkgConfig REQUIRED)

if(BALLAST_PURE_ONLY)
  return()
endif()

find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(tomlplusplus QUIET)
pkg_check_modules(LIBVIRT REQUIRED IMPORTED_TARGET libvirt)
pkg_check_modules(PUGIXML REQUIRED IMPORTED_TARGET pugixml)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(SQLITE3 REQUIRED IMPORTED_TARGET sqlite3)
find_package(SQLiteCpp REQUIRED)

# Asio and Beast are compiled once (BOOST_*_SEPARATE_COMPILATION): users pay for declarations only.
add_library(ballast_asio STATIC ${PROJECT_SOURCE_DIR}/cmake/asio_impl.cpp)
target_compile_definitions(ballast_asio PUBLIC BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED)
target_link_libraries(ballast_asio PUBLIC Boost::headers Threads::Threads)

add_library(ballast_beast STATIC ${PROJECT_SOURCE_DIR}/cmake/beast_impl.cpp)
target_compile_definitions(ballast_beast PUBLIC BOOST_BEAST_SEPARATE_COMPILATION)
target_link_libraries(ballast_beast PUBLIC ballast_asio OpenSSL::SSL OpenSSL::Crypto)
