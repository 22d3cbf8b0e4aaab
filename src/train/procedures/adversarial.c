/* Two players (Goodfellow et al. 2014, "Generative adversarial nets"): a discriminator learns to tell samples of the
 * data from made ones, then a generator learns to make such that are taken for the data's. */
#include "lockstep/procedure.h"

typedef struct Settings {
    int64_t discriminator_repeats;
} Settings;

static const LsSetting settings[] = {
    LS_SETTING_INT(Settings, discriminator_repeats, "1", 1, 1000,
                   "times that the discriminator learns, from a batch each, before the generator does once"),
    {0}};

static const LsPhase phases[] = {
    {.name = "discriminator", .learns = "discriminator.", .repeats = "discriminator_repeats"},
    {.name = "generator", .learns = "generator."},
    {0}};

extern const LsProcedure ls_procedure_adversarial;
const LsProcedure ls_procedure_adversarial = {
    .name = "adversarial",
    .summary = "a discriminator and a generator learn in turn",
    .settings = settings,
    .settings_bytes = sizeof(Settings),
    .phases = phases,
};
