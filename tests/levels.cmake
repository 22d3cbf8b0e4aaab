# Included by ctest, not by CMake: adds the tests that depend on the instruction set once more for each level of this machine below the one
# in force, NAME@LEVEL with the labels `level` and LEVEL. A level that the machine lacks gets no test, so that none is skipped and counted.
# What is known when CMake runs stands in the file that includes this one: level_program, and a call of add_level_tests for each test.
execute_process(COMMAND "${level_program}" OUTPUT_VARIABLE levels ERROR_VARIABLE level_error RESULT_VARIABLE level_result
                OUTPUT_STRIP_TRAILING_WHITESPACE)
string(REPLACE "\n" ";" levels "${levels}")
if(NOT level_result EQUAL 0)
  add_test(levels_NOT_FOUND "${level_program}") # fails, and says why
  message(STATUS "no tests of lower levels: ${level_program}: ${level_result} ${level_error}")
endif()

# LOCKSTEP_REPEATED tells the test that it runs at the best level too: what does not depend on the level need not be said twice.
# add_level_tests(NAME SECONDS COST PROCESSORS ENVIRONMENT FOLDER COMMAND...)
function(add_level_tests name seconds cost processors environment folder)
  foreach(level IN LISTS levels)
    set(environment_at_level LOCKSTEP_ISA=${level} LOCKSTEP_REPEATED=1 ${environment})
    add_test(${name}@${level} ${ARGN})
    set_tests_properties(${name}@${level} PROPERTIES TIMEOUT ${seconds} COST ${cost} PROCESSORS ${processors} WORKING_DIRECTORY ${folder}
                         ENVIRONMENT "${environment_at_level}" LABELS "level;${level}")
  endforeach()
endfunction()
