# Run at every build: writes the id of the sources, and touches the file only when it changed.
# cmake -DSOURCE=... -DOUTPUT=... -P version.cmake
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 OUTPUT_VARIABLE id ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE
                RESULT_VARIABLE failed)
if(failed OR id STREQUAL "")
  set(id "unknown (built outside a repository)")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "/* Made by cmake/version.cmake. */\n#define LOCKSTEP_GIT \"@id@\"\n" @ONLY)
