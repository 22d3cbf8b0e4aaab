# Debian packages: libopenmpi-dev libhdf5-dev libyaml-dev libjansson-dev libpcre2-dev libxxhash-dev libpng-dev
# zlib1g-dev libarchive-dev libfftw3-dev libsndfile1-dev libcunit1-dev
find_package(OpenMP REQUIRED COMPONENTS C)
find_package(MPI REQUIRED COMPONENTS C)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(PkgConfig REQUIRED)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(PNG REQUIRED IMPORTED_TARGET libpng)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive)
pkg_check_modules(FFTWF REQUIRED IMPORTED_TARGET fftw3f) # single precision
pkg_check_modules(FFTW REQUIRED IMPORTED_TARGET fftw3)   # double: for the ops' checks
pkg_check_modules(SNDFILE REQUIRED IMPORTED_TARGET sndfile)
set(LOCKSTEP_LIBRARIES OpenMP::OpenMP_C MPI::MPI_C hdf5::hdf5 PkgConfig::YAML PkgConfig::JANSSON PkgConfig::PCRE2 PkgConfig::XXHASH
                       PkgConfig::PNG PkgConfig::ZLIB PkgConfig::ARCHIVE PkgConfig::FFTWF PkgConfig::FFTW PkgConfig::SNDFILE m)
