# Toolchain file: Debian's cross compiler for aarch64, libraries from the folder that cmake/arm64_libraries.sh fills, programs run by qemu.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES LOCKSTEP_SYSROOT) # try_compile reads this file in a folder of its own
if(NOT LOCKSTEP_SYSROOT)
  message(FATAL_ERROR "LOCKSTEP_SYSROOT: the folder of arm64 libraries is not given; tests/run.sh --emulate makes and names one")
endif()
set(CMAKE_SYSROOT ${LOCKSTEP_SYSROOT})
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static;-L;${LOCKSTEP_SYSROOT})

set(lockstep_arm64_libraries ${LOCKSTEP_SYSROOT}/usr/lib/aarch64-linux-gnu)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${LOCKSTEP_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${lockstep_arm64_libraries}/pkgconfig)
# Libraries that libraries need are found as the loader will find them.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${lockstep_arm64_libraries}:${LOCKSTEP_SYSROOT}/lib/aarch64-linux-gnu")
# The compiler wrappers of MPI and HDF5 on the path are the host's: they are not asked.
set(MPI_SKIP_COMPILER_WRAPPER ON)
set(MPI_C_LIB_NAMES mpi)
set(MPI_mpi_LIBRARY ${lockstep_arm64_libraries}/openmpi/lib/libmpi.so)
set(MPI_C_HEADER_DIR ${lockstep_arm64_libraries}/openmpi/include)
set(HDF5_C_COMPILER_EXECUTABLE /bin/false)
set(HDF5_ROOT ${lockstep_arm64_libraries}/hdf5/serial)
