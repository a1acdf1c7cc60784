/* Keras: which classes a saved model may name.
 *
 * keras.models.load_model makes an object for each {"class_name", "config", "module", "registered_name"}. Lambda layers
 * hold byte code; a module outside of Keras' own is imported (CVE-2025-1550), and some classes inside it load other
 * files or code (CVE-2025-9905, CVE-2025-9906, CVE-2025-12058, CVE-2025-12060). So modules and classes are lists.
 * Source of the names: keras.io's API pages. */
#include "trust/scan_keras.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* Separated by spaces. */
static const char plain_classes[] =
    " Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D "
    "AveragePooling2D AveragePooling3D BatchNormalization BatchNormalizationV1 BatchNormalizationV2 Bidirectional "
    "CategoryEncoding CenterCrop Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose "
    "Convolution1D Convolution2D Convolution3D ConvLSTM1D ConvLSTM2D ConvLSTM3D Cropping1D Cropping2D Cropping3D Dense "
    "DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense Embedding Flatten GELU GRU GRUCell "
    "GRUV1 "
    "GRUV2 GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D "
    "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention HashedCrossing "
    "Hashing Identity InputLayer InputSpec Input LSTM LSTMCell LSTMV1 LSTMV2 LayerNormalization LeakyReLU "
    "LocallyConnected1D LocallyConnected2D Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram "
    "Minimum "
    "MultiHeadAttention Multiply Normalization PReLU Permute RMSNormalization RNN RandomBrightness RandomContrast "
    "RandomCrop RandomFlip RandomHeight RandomRotation RandomTranslation RandomWidth RandomZoom ReLU RepeatVector "
    "Rescaling Reshape Resizing SeparableConv1D SeparableConv2D SimpleRNN SimpleRNNCell Softmax SpatialDropout1D "
    "SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells Subtract ThresholdedReLU TimeDistributed "
    "UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D "
    "Functional Model Sequential KerasTensor "
    "Constant GlorotNormal GlorotUniform HeNormal HeUniform IdentityInitializer LecunNormal LecunUniform Ones "
    "Orthogonal "
    "OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros "
    "L1 L2 L1L2 OrthogonalRegularizer MaxNorm MinMaxNorm NonNeg UnitNorm RadialConstraint "
    "DTypePolicy Policy FloatDTypePolicy QuantizedDTypePolicy QuantizedFloat8DTypePolicy DTypePolicyMap "
    "Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer Muon Nadam RMSprop SGD "
    "CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay "
    "BinaryCrossentropy BinaryFocalCrossentropy CTC CategoricalCrossentropy CategoricalFocalCrossentropy "
    "CategoricalHinge "
    "CosineSimilarity Dice Hinge Huber KLDivergence LogCosh MeanAbsoluteError MeanAbsolutePercentageError "
    "MeanSquaredError MeanSquaredLogarithmicError Poisson SparseCategoricalCrossentropy SquaredHinge Tversky "
    "AUC Accuracy BinaryAccuracy BinaryIoU CategoricalAccuracy F1Score FBetaScore FalseNegatives FalsePositives IoU "
    "Mean "
    "MeanIoU MeanMetricWrapper OneHotIoU OneHotMeanIoU Precision PrecisionAtRecall R2Score Recall RecallAtPrecision "
    "RootMeanSquaredError SensitivityAtSpecificity SparseCategoricalAccuracy SparseTopKCategoricalAccuracy "
    "SpecificityAtSensitivity Sum TopKCategoricalAccuracy TrueNegatives TruePositives "
    "__tensor__ __numpy__ __bytes__ __ellipsis__ __keras_tensor__ __tuple__ TensorShape slice "
    "CompileConfig ";

/* These load code or other models. */
static const char loaders[] = " Lambda __lambda__ TFSMLayer TorchModuleWrapper JaxLayer FlaxLayer TFOpLambda "
                              "ClassMethod SlicingOpLambda InstanceProperty InstanceMethod ";
/* These read the file that their vocabulary names. */
static const char lookups[] = " StringLookup IntegerLookup IndexLookup TextVectorization Discretization ";

static const char *const plain_modules[] = {
    "keras",
    "keras.layers",
    "keras.models",
    "keras.initializers",
    "keras.regularizers",
    "keras.constraints",
    "keras.activations",
    "keras.optimizers",
    "keras.optimizers.schedules",
    "keras.optimizers.legacy",
    "keras.losses",
    "keras.metrics",
    "keras.dtype_policies",
    "keras.mixed_precision",
    "keras.src.models",
    "keras.src.models.functional",
    "keras.src.models.sequential",
    "keras.src.models.model",
    "keras.src.engine.functional",
    "keras.src.engine.sequential",
    "keras.src.engine.training",
    "keras.src.dtype_policies",
    "keras.src.optimizers.loss_scale_optimizer",
    "keras.engine.functional",
    "keras.engine.sequential",
};

static const char activations[] =
    " relu relu6 elu selu celu gelu glu silu swish softmax softplus softsign sigmoid "
    "hard_sigmoid hard_silu hard_swish hard_tanh hard_shrink leaky_relu linear log_sigmoid "
    "log_softmax mish exponential tanh tanh_shrink threshold soft_shrink sparse_plus "
    "sparsemax squareplus ";

static bool listed(const char *list, const char *word) {
    size_t n = strlen(word);
    if (n == 0 || strchr(word, ' ')) return false;
    for (const char *p = list; (p = strstr(p, word)); p += n)
        if (p[-1] == ' ' && p[n] == ' ') return true;
    return false;
}

static bool is_text(const tola_value *v) { return v && v->kind == TOLA_VALUE_STRING; }

static bool is_plain_module(const char *name) {
    if (strncmp(name, "tf_keras", 8) == 0) name += 3; /* Keras 2 under its other name */
    if (strncmp(name, "tensorflow.keras", 16) == 0 || strncmp(name, "tensorflow.python.keras", 23) == 0)
        name = strstr(name, "keras");
    if (strncmp(name, "keras.src.layers", 16) == 0 && (name[16] == 0 || name[16] == '.')) return true;
    if (strncmp(name, "keras.layers.", 13) == 0) return true;
    /* where optimizers come from that a backend has of its own */
    if (strncmp(name, "keras.src.backend.torch.optimizers.", 35) == 0) return true;
    for (size_t i = 0; i < sizeof plain_modules / sizeof *plain_modules; i++)
        if (strcmp(name, plain_modules[i]) == 0) return true;
    return false;
}

#define FIND(verdict, ...) scan_find(job, part, verdict, "keras", TOLA_NO_OFFSET, __VA_ARGS__)

void scan_keras_object(scan_job *job, const scan_part *part, const tola_value *map) {
    const tola_value *class_name = tola_value_get(map, "class_name"), *module = tola_value_get(map, "module");
    const tola_value *config = tola_value_get(map, "config");
    char name[120], from[160];
    if (!is_text(class_name)) {
        if (class_name && class_name->kind != TOLA_VALUE_NULL) FIND(TOLA_UNKNOWN, "a class whose name is no text");
        return;
    }
    const char *class = class_name->as.string.data;
    text_quote(name, sizeof name, class, class_name->as.string.length);
    if (strlen(class) != class_name->as.string.length) FIND(TOLA_UNKNOWN, "a class whose name holds a NUL: '%s'", name);
    if (listed(loaders, class)) {
        FIND(TOLA_DANGEROUS, "a layer that loads code: %s", name);
        return;
    }
    if (is_text(module)) {
        const char *m = module->as.string.data;
        text_quote(from, sizeof from, m, module->as.string.length);
        bool function = strcmp(m, "builtins") == 0 && strcmp(class, "function") == 0;
        bool whole = is_text(config) && strlen(config->as.string.data) == config->as.string.length;
        if (function && whole && listed(activations, config->as.string.data)) return;
        bool data = strcmp(m, "builtins") == 0 && listed(plain_classes, class);
        if (!data && (function || !is_plain_module(m))) {
            FIND(TOLA_DANGEROUS, "makes the loader import '%s' from '%s'",
                 function && is_text(config) ? "a function" : name, from);
            return;
        }
    } else if (module && module->kind != TOLA_VALUE_NULL) {
        FIND(TOLA_UNKNOWN, "a module whose name is no text");
    }
    const tola_value *registered = tola_value_get(map, "registered_name");
    if (is_text(registered) && strchr(registered->as.string.data, '>'))
        FIND(TOLA_UNKNOWN, "a class that the program which loads it has registered: %s", name);
    if (listed(lookups, class)) {
        const tola_value *words =
            config && config->kind == TOLA_VALUE_MAP ? tola_value_get(config, "vocabulary") : NULL;
        if (is_text(words))
            FIND(TOLA_DANGEROUS, "the layer %s reads the file that its vocabulary names", name);
        else if (words && words->kind != TOLA_VALUE_ARRAY && words->kind != TOLA_VALUE_NULL)
            FIND(TOLA_UNKNOWN, "the layer %s has a vocabulary that is no list", name);
        return;
    }
    if (!listed(plain_classes, class)) FIND(TOLA_UNKNOWN, "a class that is not Keras' own or not known here: %s", name);
}
