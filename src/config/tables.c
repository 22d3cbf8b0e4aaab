/* The sections that are the same for every model. */
#include "config/config.h"

/* "|adamw|sgd", from the list that the optimisers themselves are made from; the first sign is cut off. */
#define OPTIMIZER(name) "|" #name
static const char optimizers[] =
#include "config/optimizers.def"
    ;
#undef OPTIMIZER

/* The schedules alike. */
#define SCHEDULE(name) "|" #name
static const char schedules[] =
#include "config/schedules.def"
    ;
#undef SCHEDULE

#define SMALLEST 1e-30
#define BELOW_ONE 0.99999999
#define MANY 1e15 /* no limit but that of exact doubles */

const LsSetting ls_lora_settings[] = {
    LS_SETTING_INT(
        LsLoraSettings, rank, "0", 0, 1 << 20,
        "rank of low-rank adapters (LoRA), which alone learn: the model itself is that of train.init; 0: the "
        "whole model learns"),
    LS_SETTING_FLOAT(LsLoraSettings, alpha, "16", SMALLEST, 1e6,
                     "what adapters add to a layer counts alpha / rank times"),
    LS_SETTING_STRING(LsLoraSettings, targets, ".",
                      "the dense layers that have adapters: a regular expression over "
                      "their names, 'attention|mlp\\.in$'"),
    LS_SETTING_STRING(LsLoraSettings, digest, NULL,
                      "of the parameters of train.init, as the training found them; filled in by the program"),
    LS_SETTING_STRING(LsLoraSettings, base, NULL,
                      "where the training found train.init, as an absolute path: looked at where train.init is not "
                      "found from the current folder; filled in by the program"),
    {0}};

const LsSetting ls_data_settings[] = {
    LS_SETTING_STRING(LsDataSettings, path, NULL, "data set to train on, as 'lockstep prepare' wrote it"),
    LS_SETTING_STRING(LsDataSettings, validation_path, NULL,
                      "data set to validate on; null: the validation part of data.path"),
    LS_SETTING_STRING(LsDataSettings, fields, NULL,
                      "what samples hold, as the data set says it when a training begins: \"pixels 28x28x1, label of "
                      "10\"; null: as the model has it"),
    {0}};

const LsSetting ls_train_settings[] = {
    LS_SETTING_INT(LsTrainSettings, steps, "1000", 1, MANY, "optimisation steps of the whole run"),
    LS_SETTING_INT(LsTrainSettings, batch, "16", 1, 1 << 30, "sequences of one step, over all ranks"),
    LS_SETTING_INT(LsTrainSettings, micro_batch, "0", 0, 1 << 30,
                   "most sequences that a rank computes at once (less memory, the same step); 0: all of its share"),
    LS_SETTING_BYTES(LsTrainSettings, memory, "0", 0, MANY,
                     "most memory that a rank takes, as 4GiB: what does not fit is made again in backward, the same "
                     "bits in more time; 0: what "
                     "the machine, its control group or the SLURM job has, shared among the ranks of the node"),
    LS_SETTING_INT(LsTrainSettings, sequence, "0", 0, 1 << 30, "tokens of a sequence; 0: model.context"),
    LS_SETTING_INT(
        LsTrainSettings, length_step, "0", 0, 1 << 30,
        "for samples of different lengths: a batch is of samples about as long as each other, and computed as "
        "long as its longest, rounded up to a multiple of this; 0: in any order, all as long as "
        "train.sequence"),
    LS_SETTING_INT(LsTrainSettings, sequence_ranks, "1", 1, 1 << 20,
                   "ranks that share each sequence, each a part of its time (recurrent models); the number of ranks is "
                   "a multiple of it"),
    LS_SETTING_INT(LsTrainSettings, segment, "0", 0, 1 << 30,
                   "tokens of a sequence that a rank computes at once: gradients are exact over any length in the "
                   "memory of one segment, for up to "
                   "a quarter more time (recurrent models); 0: all, or as many as train.memory has room for"),
    LS_SETTING_BOOL(LsTrainSettings, carry, "false",
                    "windows of a step go on where those of the step before ended, and the model's state with them: "
                    "truncated back-propagation through time (recurrent models). Validation and eval go on so too, in "
                    "at most train.batch streams, whose first windows have nothing before them"),
    LS_SETTING_STRING(LsTrainSettings, init, NULL,
                      "run, checkpoint or folder of 'lockstep export' whose parameters the training begins with, and "
                      "whose model's settings hold where the job says none; null: parameters drawn from train.seed"),
    LS_SETTING_CHOICE(LsTrainSettings, init_match, "strict", "strict|partial",
                      "train.init: strict refuses another kind of model and parameters of other shapes; partial draws "
                      "those anew, and lists what was taken and what was not"),
    LS_SETTING_CHOICE(
        LsTrainSettings, precision, "float", "float|bfloat16",
        "storage of activations and matrix operands; parameters, moments, gradients of parameters and sums are float"),
    LS_SETTING_CHOICE(LsTrainSettings, optimizer, "adamw", optimizers + 1, "how gradients change parameters"),
    LS_SETTING_FLOAT(LsTrainSettings, learning_rate, "3e-4", SMALLEST, 1e6, "peak learning rate, after warm-up"),
    LS_SETTING_FLOAT(LsTrainSettings, min_learning_rate, "0", 0, 1e6, "learning rate at which the schedule ends"),
    LS_SETTING_CHOICE(
        LsTrainSettings, schedule, "cosine", schedules + 1,
        "learning rate after warm-up: linear and cosine reach min_learning_rate at the last step; inverse_sqrt is "
        "the Transformer's with learning_rate = (width warmup)^-0.5; wsd is constant but for its last cooldown steps; "
        "step is multiplied with drop_factor each drop_every steps"),
    LS_SETTING_INT(LsTrainSettings, warmup, "100", 0, MANY, "steps over which the learning rate rises from zero"),
    LS_SETTING_INT(LsTrainSettings, cooldown, "0", 0, MANY,
                   "schedule wsd: last steps, over which the rate falls in a line to min_learning_rate; 0: a tenth of "
                   "train.steps"),
    LS_SETTING_INT(LsTrainSettings, drop_every, "1000", 1, MANY, "schedule step: steps between two drops of the rate"),
    LS_SETTING_FLOAT(LsTrainSettings, drop_factor, "0.1", 0, 1, "schedule step: what a drop multiplies the rate with"),
    LS_SETTING_FLOAT(LsTrainSettings, weight_decay, "0.1", 0, 1e3,
                     "decoupled decay (SGD: added to the gradient), of matrices only"),
    LS_SETTING_LIST(LsTrainSettings, no_decay,
                    "parameters that are not decayed, as regular expressions over their names (lockstep models NAME): "
                    "[norm, '\\.bias$']"),
    LS_SETTING_LIST(LsTrainSettings, freeze,
                    "parameters that do not learn, as regular expressions over their names: [^token_embedding, "
                    "'^layer\\.[0-3]\\.']"),
    LS_SETTING_MAP(LsTrainSettings, scale,
                   "factors of the learning rate by regular expressions over names of parameters, of which the first "
                   "that matches counts: {^layer: 0.1}"),
    LS_SETTING_FLOAT(LsTrainSettings, beta1, "0.9", 0, BELOW_ONE,
                     "AdamW: decay of the mean of gradients; Lion: its share in a step's direction"),
    LS_SETTING_FLOAT(LsTrainSettings, beta2, "0.95", 0, BELOW_ONE,
                     "AdamW: decay of the mean of squared gradients; Lion: of the mean of gradients"),
    LS_SETTING_FLOAT(LsTrainSettings, epsilon, "1e-8", SMALLEST, 1, "AdamW: added to the root of the mean of squares"),
    LS_SETTING_FLOAT(LsTrainSettings, momentum, "0.9", 0, BELOW_ONE, "SGD, Muon: decay of the velocity; 0: none"),
    LS_SETTING_FLOAT(LsTrainSettings, clip, "1", 0, 1e30, "largest global norm of the gradient; 0: not clipped"),
    LS_SETTING_FLOAT(LsTrainSettings, average, "0", 0, BELOW_ONE,
                     "decay of a moving average of the parameters, 0.999 say: validation, and whatever uses the run, "
                     "take the average (train.average=0 there: the last parameters); 0: none is kept"),
    LS_SETTING_FLOAT(LsTrainSettings, skip_outliers, "0", 0, 1e6,
                     "standard deviations above the mean of the last steps, by loss or gradient norm, from which on a "
                     "step does not change the parameters; 0: every step does"),
    LS_SETTING_INT(LsTrainSettings, skip_window, "128", 4, 1 << 20, "skip_outliers: steps of that mean"),
    LS_SETTING_INT(LsTrainSettings, seed, "1", 0, 9007199254740992.0,
                   "of initial parameters, order of the data and dropout"),
    LS_SETTING_INT(LsTrainSettings, evaluate_every, "250", 0, MANY,
                   "steps between validations; 0: only after the last step"),
    LS_SETTING_INT(LsTrainSettings, evaluate_batches, "20", 0, 1e9,
                   "batches of a validation; 0: the whole validation part"),
    LS_SETTING_INT(LsTrainSettings, sample_every, "0", 0, MANY,
                   "steps between samples of text that the model writes, into the log and metrics.jsonl; 0: none"),
    LS_SETTING_LIST(LsTrainSettings, sample_prompts, "texts that samples go on from: [ROMEO, 'To be']"),
    LS_SETTING_INT(LsTrainSettings, sample_tokens, "100", 1, 1e6, "tokens of a sample"),
    LS_SETTING_FLOAT(LsTrainSettings, sample_temperature, "0.8", 0, 1e6, "of samples, as 'lockstep generate' has it"),
    LS_SETTING_INT(
        LsTrainSettings, bucket_bytes, "0", 0, MANY,
        "bytes of gradients summed over the ranks at once; 0: from the measured latency and speed of such sums"),
    LS_SETTING_CHOICE(LsTrainSettings, wire, "float", "float|bfloat16",
                      "how gradients travel between nodes (and between ranks that share no memory): bfloat16 is half "
                      "the bytes, rounded to 2^-8; sums are in float"),
    LS_SETTING_BOOL(LsTrainSettings, overlap, "true",
                    "sum gradients while backward still works on others; the same bits either way"),
    {0}};

const LsSetting ls_output_settings[] = {
    LS_SETTING_STRING(LsOutputSettings, path, "runs/run", "run folder: configuration, metrics, checkpoints, log"),
    LS_SETTING_INT(LsOutputSettings, save_every, "500", 0, MANY,
                   "steps between checkpoints; 0: only after the last step"),
    LS_SETTING_INT(LsOutputSettings, keep, "3", 1, MANY,
                   "newest checkpoints that are kept, besides the best and the one resumed from"),
    LS_SETTING_INT(LsOutputSettings, log_every, "1", 1, MANY, "steps between rows of metrics.jsonl"),
    LS_SETTING_BOOL(LsOutputSettings, csv, "false",
                    "the rows as metrics.csv too, made anew with each checkpoint and at the end"),
    LS_SETTING_BOOL(LsOutputSettings, tensorboard, "false",
                    "the rows as event files for TensorBoard too, in the run folder's tensorboard/"),
    {0}};
