# The ops are compiled from one source for each element type and instruction set; the program picks a table at start.
file(GLOB op_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/ops/*.c)
set(LOCKSTEP_OP_OBJECTS)
set(LOCKSTEP_GENERATED ${PROJECT_BINARY_DIR}/generated)
set(op_tables "/* Made by cmake/ops.cmake. */\n#define OP(name, arguments) +1\nenum {\n    LS_LISTED_OPS = 0\n#include \"lockstep/ops.def\"\n};\n#undef OP\n")
set(op_builds)
set(LOCKSTEP_OP_BUILDS) # suffixes, for tests that compile a file once per build
set(LOCKSTEP_OP_BUILD_LIST "/* Made by cmake/ops.cmake: BUILD(precision, instruction set, suffix). */\n")

function(lockstep_op_build suffix type isa definitions)
  set(target ops${suffix})
  add_library(${target} OBJECT ${op_sources})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(${target} PRIVATE LS_OP_BUILD=${suffix} LS_BUILD_${type} ${definitions})
  target_compile_options(${target} PRIVATE ${ARGN})
  target_link_libraries(${target} PRIVATE lockstep_flags OpenMP::OpenMP_C)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  set(LOCKSTEP_OP_OBJECTS ${LOCKSTEP_OP_OBJECTS} $<TARGET_OBJECTS:${target}> PARENT_SCOPE)
  string(APPEND op_tables
         "#define OP(name, arguments) extern const LsOp ls_op_##name##${suffix};\n"
         "#include \"lockstep/ops.def\"\n#undef OP\n"
         "#define OP(name, arguments) &ls_op_##name##${suffix},\n"
         "static const void *table${suffix}[LS_LISTED_OPS + LS_MAX_ADDED_OPS + 1] = {\n#include \"lockstep/ops.def\"\n};\n#undef OP\n")
  set(op_tables "${op_tables}" PARENT_SCOPE)
  set(op_builds "${op_builds} {LS_${type}, LS_ISA_${isa}, {\"op\", table${suffix}, LS_LISTED_OPS, LS_MAX_ADDED_OPS, 0}}," PARENT_SCOPE)
  set(LOCKSTEP_OP_BUILDS ${LOCKSTEP_OP_BUILDS} ${suffix} PARENT_SCOPE)
  set(LOCKSTEP_OP_BUILD_LIST "${LOCKSTEP_OP_BUILD_LIST}BUILD(LS_${type}, LS_ISA_${isa}, ${suffix})\n" PARENT_SCOPE)
endfunction()

if(LOCKSTEP_FUZZ) # readers of files are what is looked at: one build of the ops will do
  lockstep_op_build(_f32_base FLOAT32 BASELINE LS_OP_PRIMARY)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  lockstep_op_build(_f32_base FLOAT32 BASELINE LS_OP_PRIMARY -march=x86-64-v2)
  lockstep_op_build(_f32_v3 FLOAT32 V3 "" -march=x86-64-v3)
  lockstep_op_build(_f32_v4 FLOAT32 V4 "" -march=x86-64-v4 -mprefer-vector-width=512)
  lockstep_op_build(_bf16_base BFLOAT16 BASELINE "" -march=x86-64-v2)
  lockstep_op_build(_bf16_v3 BFLOAT16 V3 "" -march=x86-64-v3)
  lockstep_op_build(_bf16_v4 BFLOAT16 V4 "" -march=x86-64-v4 -mprefer-vector-width=512)
  lockstep_op_build(_bf16_v4b BFLOAT16 V4_BF16 "" -march=x86-64-v4 $<$<NOT:$<BOOL:${LOCKSTEP_EMULATE_AMX}>>:-mavx512bf16>
                    -mprefer-vector-width=512)
  lockstep_op_build(_f64_base FLOAT64 BASELINE "" -march=x86-64-v2)
else()
  lockstep_op_build(_f32_base FLOAT32 BASELINE LS_OP_PRIMARY)
  lockstep_op_build(_bf16_base BFLOAT16 BASELINE "")
  lockstep_op_build(_f64_base FLOAT64 BASELINE "")
endif()
string(APPEND op_tables "#define LS_BUILDS ${op_builds}\n")
file(CONFIGURE OUTPUT ${LOCKSTEP_GENERATED}/op_builds.def CONTENT "${LOCKSTEP_OP_BUILD_LIST}" @ONLY)
file(CONFIGURE OUTPUT ${LOCKSTEP_GENERATED}/op_tables.h CONTENT "${op_tables}" @ONLY)
