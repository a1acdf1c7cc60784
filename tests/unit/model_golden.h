/* Made by tests/fixtures/make_model_golden.py (transformers 5.23.0). */
typedef struct golden_tensor {
    const char *name;
    unsigned rows, cols; /* cols 0: a vector */
    float offset, scale;
} golden_tensor;

static const uint32_t golden_ids[] = { 3, 15, 4, 7, 24, 18, 26, 11, 10, 23, 13, 17, 35, 30, 39, 25, 25, 39, 30, 35 };

static const char golden_llama_config[] =
    "{\"attention_bias\": false, \"head_dim\": 8, \"hidden_act\": \"silu\", \"hidden_size\": 32, "
    "\"intermediate_size\": 48, \"max_position_embeddings\": 64, \"mlp_bias\": false, \"model_type\": "
    "\"llama\", \"num_attention_heads\": 4, \"num_hidden_layers\": 2, \"num_key_value_heads\": 2, "
    "\"rms_norm_eps\": 1e-06, \"rope_parameters\": {\"factor\": 8.0, \"high_freq_factor\": 4.0, "
    "\"low_freq_factor\": 1.0, \"original_max_position_embeddings\": 16, \"rope_theta\": 500000.0, "
    "\"rope_type\": \"llama3\"}, \"tie_word_embeddings\": true, \"vocab_size\": 40} "
    ;
static const golden_tensor golden_llama_tensors[] = {
    { "model.embed_tokens.weight", 40, 32, 0.0F, 0.309359223F },
    { "model.layers.0.input_layernorm.weight", 32, 0, 1.0F, 0.25F },
    { "model.layers.0.mlp.down_proj.weight", 32, 48, 0.0F, 0.252590746F },
    { "model.layers.0.mlp.gate_proj.weight", 48, 32, 0.0F, 0.309359223F },
    { "model.layers.0.mlp.up_proj.weight", 48, 32, 0.0F, 0.309359223F },
    { "model.layers.0.post_attention_layernorm.weight", 32, 0, 1.0F, 0.25F },
    { "model.layers.0.self_attn.k_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.0.self_attn.o_proj.weight", 32, 32, 0.0F, 0.309359223F },
    { "model.layers.0.self_attn.q_proj.weight", 32, 32, 0.0F, 0.309359223F },
    { "model.layers.0.self_attn.v_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.1.input_layernorm.weight", 32, 0, 1.0F, 0.25F },
    { "model.layers.1.mlp.down_proj.weight", 32, 48, 0.0F, 0.252590746F },
    { "model.layers.1.mlp.gate_proj.weight", 48, 32, 0.0F, 0.309359223F },
    { "model.layers.1.mlp.up_proj.weight", 48, 32, 0.0F, 0.309359223F },
    { "model.layers.1.post_attention_layernorm.weight", 32, 0, 1.0F, 0.25F },
    { "model.layers.1.self_attn.k_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.1.self_attn.o_proj.weight", 32, 32, 0.0F, 0.309359223F },
    { "model.layers.1.self_attn.q_proj.weight", 32, 32, 0.0F, 0.309359223F },
    { "model.layers.1.self_attn.v_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.norm.weight", 32, 0, 1.0F, 0.25F },
};
static const float golden_llama_logits[] = {
    0.03649641F, -1.242846F, -0.2019372F, -1.651728F, -1.495146F, 0.5621342F, -1.062604F, -0.06601071F,
    -0.8592043F, 2.029971F, 0.2995225F, -1.414944F, -1.08479F, -0.5922663F, 0.01780709F, -1.119755F,
    1.247729F, 0.7897789F, -0.02603452F, 0.335701F, 1.767679F, 0.09839948F, 0.2257199F, 0.1427265F,
    0.04651977F, 0.4945672F, 0.4135166F, -0.3649808F, -0.2242208F, -0.199019F, 0.6396975F, -1.172171F,
    -1.041776F, -0.2505448F, 1.006538F, -2.132905F, -0.5393588F, -0.7840875F, 0.9590663F, 0.9892479F,
    0.7673697F, 0.8037297F, 0.1403047F, -2.05752F, 0.03770716F, -0.4366873F, -1.538831F, 0.4739268F,
    -2.434202F, -0.3765781F, -0.3855936F, -0.2092735F, -2.001426F, 0.5063711F, 1.029041F, -0.2913303F,
    0.4284371F, 0.9563238F, -0.8326227F, -0.2815464F, -0.3051613F, 0.7888206F, -1.825312F, -0.8485591F,
    1.01845F, 1.05943F, -0.3997506F, 0.4462509F, 1.0339F, 1.119828F, 0.5263852F, -0.2412355F,
    -1.041693F, -0.8377822F, -0.7779486F, -0.2972696F, -0.61285F, -0.9598489F, -0.2503621F, 0.00164013F,
};
static const double golden_llama_loss = 4.04779434;
static const double golden_llama_gradients[][2] = { /* of the tensors above */
    { 3.559218, 2.080454 },
    { 0.5622873, -0.2182536 },
    { 1.47778, -0.3183967 },
    { 1.2855, -0.4651645 },
    { 1.189369, -0.2599699 },
    { 0.3578667, 0.2307626 },
    { 1.368073, -0.5017638 },
    { 2.420643, 0.5945453 },
    { 1.337674, -0.5017638 },
    { 2.47229, 0.594545 },
    { 0.1930405, -0.1445003 },
    { 0.7610381, 0.05610635 },
    { 0.6429091, 0.06540957 },
    { 0.5821952, 0.04581071 },
    { 0.1614395, -0.09304593 },
    { 0.4467289, 0.1579103 },
    { 0.93087, 0.2789286 },
    { 0.5621296, 0.1579103 },
    { 0.973316, 0.2789285 },
    { 0.2979779, 0.01271953 },
};

static const char golden_gemma3_config[] =
    "{\"attention_bias\": false, \"head_dim\": 8, \"hidden_activation\": \"gelu_pytorch_tanh\", "
    "\"hidden_size\": 32, \"intermediate_size\": 48, \"layer_types\": [\"sliding_attention\", "
    "\"full_attention\"], \"max_position_embeddings\": 64, \"model_type\": \"gemma3_text\", "
    "\"num_attention_heads\": 4, \"num_hidden_layers\": 2, \"num_key_value_heads\": 2, "
    "\"query_pre_attn_scalar\": 8, \"rms_norm_eps\": 1e-06, \"rope_parameters\": {\"full_attention\": "
    "{\"factor\": 4.0, \"rope_theta\": 1000000.0, \"rope_type\": \"linear\"}, \"sliding_attention\": "
    "{\"rope_theta\": 10000.0, \"rope_type\": \"default\"}}, \"sliding_window\": 7, "
    "\"tie_word_embeddings\": true, \"use_bidirectional_attention\": false, \"vocab_size\": 40} "
    ;
static const golden_tensor golden_gemma3_tensors[] = {
    { "model.embed_tokens.weight", 40, 32, 0.0F, 0.309359223F },
    { "model.layers.0.input_layernorm.weight", 32, 0, 0.0F, 0.25F },
    { "model.layers.0.mlp.down_proj.weight", 32, 48, 0.0F, 0.252590746F },
    { "model.layers.0.mlp.gate_proj.weight", 48, 32, 0.0F, 0.309359223F },
    { "model.layers.0.mlp.up_proj.weight", 48, 32, 0.0F, 0.309359223F },
    { "model.layers.0.post_attention_layernorm.weight", 32, 0, 0.0F, 0.25F },
    { "model.layers.0.post_feedforward_layernorm.weight", 32, 0, 0.0F, 0.25F },
    { "model.layers.0.pre_feedforward_layernorm.weight", 32, 0, 0.0F, 0.25F },
    { "model.layers.0.self_attn.k_norm.weight", 8, 0, 0.0F, 0.25F },
    { "model.layers.0.self_attn.k_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.0.self_attn.o_proj.weight", 32, 32, 0.0F, 0.309359223F },
    { "model.layers.0.self_attn.q_norm.weight", 8, 0, 0.0F, 0.25F },
    { "model.layers.0.self_attn.q_proj.weight", 32, 32, 0.0F, 0.309359223F },
    { "model.layers.0.self_attn.v_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.1.input_layernorm.weight", 32, 0, 0.0F, 0.25F },
    { "model.layers.1.mlp.down_proj.weight", 32, 48, 0.0F, 0.252590746F },
    { "model.layers.1.mlp.gate_proj.weight", 48, 32, 0.0F, 0.309359223F },
    { "model.layers.1.mlp.up_proj.weight", 48, 32, 0.0F, 0.309359223F },
    { "model.layers.1.post_attention_layernorm.weight", 32, 0, 0.0F, 0.25F },
    { "model.layers.1.post_feedforward_layernorm.weight", 32, 0, 0.0F, 0.25F },
    { "model.layers.1.pre_feedforward_layernorm.weight", 32, 0, 0.0F, 0.25F },
    { "model.layers.1.self_attn.k_norm.weight", 8, 0, 0.0F, 0.25F },
    { "model.layers.1.self_attn.k_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.1.self_attn.o_proj.weight", 32, 32, 0.0F, 0.309359223F },
    { "model.layers.1.self_attn.q_norm.weight", 8, 0, 0.0F, 0.25F },
    { "model.layers.1.self_attn.q_proj.weight", 32, 32, 0.0F, 0.309359223F },
    { "model.layers.1.self_attn.v_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.norm.weight", 32, 0, 0.0F, 0.25F },
};
static const float golden_gemma3_logits[] = {
    0.1635115F, -0.5780554F, 0.4648944F, -2.300164F, -1.287005F, -0.6517572F, 0.5798845F, -0.6477497F,
    -1.002753F, 0.5054289F, -0.4516589F, -2.701871F, -0.9597524F, -0.8986052F, -0.7542025F, -1.027261F,
    0.3698911F, 0.6163641F, -1.015913F, -0.9600207F, 1.506854F, 0.9227846F, 0.3950656F, -0.2240229F,
    -0.1362756F, 1.527829F, -0.4147836F, -0.2372034F, -0.6893579F, -0.07886997F, 2.044648F, -1.033705F,
    -0.1031266F, -0.1356907F, -1.333664F, -3.128746F, -0.3593945F, -0.9283481F, -0.107055F, 0.07700063F,
    1.043556F, 1.542236F, -0.04480576F, 1.309792F, 1.076288F, -1.118621F, 0.288684F, 0.3579026F,
    -0.6978585F, -0.6319135F, 0.8293602F, 0.5921752F, -0.186042F, -0.06655966F, 1.943087F, 1.454968F,
    -0.3803819F, 0.3058125F, 0.4543074F, -0.009477955F, -1.230735F, -1.659042F, -1.517072F, 0.943199F,
    0.9856656F, -0.03766456F, 1.426717F, -0.9769576F, 2.899702F, -0.2658851F, -0.9371553F, -0.2217603F,
    0.01099269F, -0.4951222F, -0.7824269F, 1.673583F, -0.152652F, -1.733357F, -1.399581F, -0.9451382F,
};
static const double golden_gemma3_loss = 4.0986948;
static const double golden_gemma3_gradients[][2] = { /* of the tensors above */
    { 3.079403, 3.147315 },
    { 0.4482958, -0.1414823 },
    { 1.199903, -3.357193e-06 },
    { 1.048276, 0.05761588 },
    { 1.004586, -2.697395e-06 },
    { 0.2396281, -0.06077776 },
    { 0.16817, -0.01666165 },
    { 0.3184384, 0.09170317 },
    { 0.1223523, -0.01326819 },
    { 1.169683, -1.178744e-07 },
    { 1.735849, 2.941314e-06 },
    { 0.1299918, -0.01346628 },
    { 1.410236, 2.979696e-07 },
    { 1.849401, 2.964538e-06 },
    { 0.1765898, 0.09579911 },
    { 0.765164, -2.231526e-06 },
    { 0.5927434, -0.0349944 },
    { 0.4884598, -1.81012e-06 },
    { 0.0991533, 0.05461958 },
    { 0.1114856, 0.02579026 },
    { 0.1195811, 0.1323121 },
    { 0.08797833, 0.07080657 },
    { 0.44379, -1.038028e-07 },
    { 0.6695562, 2.370644e-06 },
    { 0.07208909, -0.05692967 },
    { 0.4644971, -3.297885e-07 },
    { 0.8271094, 2.372028e-06 },
    { 0.3056487, 0.1953226 },
};

static const char golden_deepseek_v3_config[] =
    "{\"attention_bias\": false, \"first_k_dense_replace\": 1, \"head_dim\": 4, \"hidden_act\": \"silu\", "
    "\"hidden_size\": 32, \"intermediate_size\": 48, \"kv_lora_rank\": 16, \"max_position_embeddings\": "
    "64, \"model_type\": \"deepseek_v3\", \"moe_intermediate_size\": 16, \"n_group\": 2, "
    "\"n_routed_experts\": 4, \"n_shared_experts\": 1, \"norm_topk_prob\": true, \"num_attention_heads\": "
    "4, \"num_experts_per_tok\": 2, \"num_hidden_layers\": 2, \"num_key_value_heads\": 4, "
    "\"q_lora_rank\": 12, \"qk_head_dim\": 12, \"qk_nope_head_dim\": 8, \"qk_rope_head_dim\": 4, "
    "\"rms_norm_eps\": 1e-06, \"rope_interleave\": true, \"rope_parameters\": {\"factor\": 4.0, "
    "\"mscale\": 1.0, \"mscale_all_dim\": 1.0, \"original_max_position_embeddings\": 16, \"rope_theta\": "
    "10000.0, \"rope_type\": \"yarn\"}, \"routed_scaling_factor\": 2.5, \"tie_word_embeddings\": false, "
    "\"topk_group\": 1, \"v_head_dim\": 6, \"vocab_size\": 40} "
    ;
static const golden_tensor golden_deepseek_v3_tensors[] = {
    { "lm_head.weight", 40, 32, 0.0F, 0.309359223F },
    { "model.embed_tokens.weight", 40, 32, 0.0F, 0.309359223F },
    { "model.layers.0.input_layernorm.weight", 32, 0, 1.0F, 0.25F },
    { "model.layers.0.mlp.down_proj.weight", 32, 48, 0.0F, 0.252590746F },
    { "model.layers.0.mlp.gate_proj.weight", 48, 32, 0.0F, 0.309359223F },
    { "model.layers.0.mlp.up_proj.weight", 48, 32, 0.0F, 0.309359223F },
    { "model.layers.0.post_attention_layernorm.weight", 32, 0, 1.0F, 0.25F },
    { "model.layers.0.self_attn.kv_a_layernorm.weight", 16, 0, 1.0F, 0.25F },
    { "model.layers.0.self_attn.kv_a_proj_with_mqa.weight", 20, 32, 0.0F, 0.309359223F },
    { "model.layers.0.self_attn.kv_b_proj.weight", 56, 16, 0.0F, 0.4375F },
    { "model.layers.0.self_attn.o_proj.weight", 32, 24, 0.0F, 0.357217252F },
    { "model.layers.0.self_attn.q_a_layernorm.weight", 12, 0, 1.0F, 0.25F },
    { "model.layers.0.self_attn.q_a_proj.weight", 12, 32, 0.0F, 0.309359223F },
    { "model.layers.0.self_attn.q_b_proj.weight", 48, 12, 0.0F, 0.505181491F },
    { "model.layers.1.input_layernorm.weight", 32, 0, 1.0F, 0.25F },
    { "model.layers.1.mlp.experts.0.down_proj.weight", 32, 16, 0.0F, 0.4375F },
    { "model.layers.1.mlp.experts.0.gate_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.1.mlp.experts.0.up_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.1.mlp.experts.1.down_proj.weight", 32, 16, 0.0F, 0.4375F },
    { "model.layers.1.mlp.experts.1.gate_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.1.mlp.experts.1.up_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.1.mlp.experts.2.down_proj.weight", 32, 16, 0.0F, 0.4375F },
    { "model.layers.1.mlp.experts.2.gate_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.1.mlp.experts.2.up_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.1.mlp.experts.3.down_proj.weight", 32, 16, 0.0F, 0.4375F },
    { "model.layers.1.mlp.experts.3.gate_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.1.mlp.experts.3.up_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.1.mlp.gate.e_score_correction_bias", 4, 0, 0.0F, 0.25F },
    { "model.layers.1.mlp.gate.weight", 4, 32, 0.0F, 0.309359223F },
    { "model.layers.1.mlp.shared_experts.down_proj.weight", 32, 16, 0.0F, 0.4375F },
    { "model.layers.1.mlp.shared_experts.gate_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.1.mlp.shared_experts.up_proj.weight", 16, 32, 0.0F, 0.309359223F },
    { "model.layers.1.post_attention_layernorm.weight", 32, 0, 1.0F, 0.25F },
    { "model.layers.1.self_attn.kv_a_layernorm.weight", 16, 0, 1.0F, 0.25F },
    { "model.layers.1.self_attn.kv_a_proj_with_mqa.weight", 20, 32, 0.0F, 0.309359223F },
    { "model.layers.1.self_attn.kv_b_proj.weight", 56, 16, 0.0F, 0.4375F },
    { "model.layers.1.self_attn.o_proj.weight", 32, 24, 0.0F, 0.357217252F },
    { "model.layers.1.self_attn.q_a_layernorm.weight", 12, 0, 1.0F, 0.25F },
    { "model.layers.1.self_attn.q_a_proj.weight", 12, 32, 0.0F, 0.309359223F },
    { "model.layers.1.self_attn.q_b_proj.weight", 48, 12, 0.0F, 0.505181491F },
    { "model.norm.weight", 32, 0, 1.0F, 0.25F },
};
static const float golden_deepseek_v3_logits[] = {
    1.306688F, 0.160358F, -0.7758951F, 0.1232633F, 0.962735F, -0.2805854F, -2.495157F, 0.2539982F,
    0.04624005F, 1.151708F, -1.185677F, 0.2709649F, -0.5093082F, -0.3555598F, 1.422497F, -0.04634577F,
    0.09672585F, -1.730155F, -0.652484F, 0.9021845F, -0.2577898F, 0.404663F, -1.948944F, 0.3267413F,
    0.5168736F, -0.6250297F, 2.042521F, 0.2602448F, -0.9678313F, -1.718116F, -0.3875201F, 2.115452F,
    0.1574546F, -2.110301F, 0.2281316F, -0.8847992F, -0.4168453F, 0.2084888F, 1.125893F, -0.532894F,
    -1.29691F, -0.9191823F, 0.1706789F, 0.7830606F, -0.53366F, -0.8128544F, -0.6127173F, -0.3445955F,
    1.728214F, -0.807327F, 1.557164F, 0.3108095F, -0.1185326F, 1.108562F, -0.02104869F, -2.023691F,
    -1.218532F, 0.582656F, -0.9316739F, 0.1364302F, 0.06275776F, 0.9313802F, -0.1402873F, 0.5503647F,
    -0.1423748F, 0.7296942F, -1.272398F, 0.5442107F, 0.4047133F, 1.111952F, -1.28686F, 0.1587816F,
    1.233049F, -0.4282455F, 0.01146946F, 0.4773706F, 0.2147831F, 2.751903F, -0.8247093F, 0.7313358F,
};
static const double golden_deepseek_v3_loss = 4.40569735;
static const double golden_deepseek_v3_gradients[][2] = { /* of the tensors above */
    { 1.285587, 3.580096 },
    { 3.350262, 0.1828746 },
    { 0.6728705, -0.5384899 },
    { 1.920165, 0.6211385 },
    { 1.525156, 0.424058 },
    { 1.520298, 0.5071574 },
    { 0.3210467, -0.1742735 },
    { 0.5412061, 0.3349435 },
    { 3.051801, -0.4865379 },
    { 1.936659, 0.092227 },
    { 2.054773, -0.5855267 },
    { 0.2987228, 0.3169391 },
    { 2.048322, 2.667725e-07 },
    { 1.266252, 0.1959583 },
    { 0.351314, 0.1011915 },
    { 0.5001191, -0.1919492 },
    { 0.5862043, -0.1779729 },
    { 0.5962355, -0.2714572 },
    { 0.3040806, 0.1707701 },
    { 0.3102387, 0.3100054 },
    { 0.3480207, 0.2415054 },
    { 0.3765033, -0.1952369 },
    { 0.6731501, -0.3798244 },
    { 0.675976, -0.2761067 },
    { 0.214081, -0.06584354 },
    { 0.2482852, -0.2762141 },
    { 0.294281, -0.09311679 },
    { 0.0, 0.0 },
    { 0.2373379, -0.1656691 },
    { 0.4125056, 0.2212855 },
    { 0.5011808, 0.4149673 },
    { 0.5822675, 0.3129449 },
    { 0.2711647, 0.05941553 },
    { 0.2977291, -0.2604067 },
    { 1.693164, -0.04671829 },
    { 0.9559295, -0.2656726 },
    { 0.9535861, 0.0626076 },
    { 0.1197558, 0.06871283 },
    { 0.6638175, -4.944591e-07 },
    { 0.4072129, -0.3029577 },
    { 0.2676959, 0.03707725 },
};

static const char golden_gpt2_config[] =
    "{\"activation_function\": \"gelu_new\", \"add_cross_attention\": false, \"layer_norm_epsilon\": "
    "1e-05, \"model_type\": \"gpt2\", \"n_embd\": 32, \"n_head\": 4, \"n_layer\": 2, \"n_positions\": 64, "
    "\"scale_attn_by_inverse_layer_idx\": false, \"scale_attn_weights\": true, \"tie_word_embeddings\": "
    "true, \"vocab_size\": 40} "
    ;
static const golden_tensor golden_gpt2_tensors[] = {
    { "transformer.h.0.attn.c_attn.bias", 96, 0, 0.0F, 0.25F },
    { "transformer.h.0.attn.c_attn.weight", 32, 96, 0.0F, 0.309359223F },
    { "transformer.h.0.attn.c_proj.bias", 32, 0, 0.0F, 0.25F },
    { "transformer.h.0.attn.c_proj.weight", 32, 32, 0.0F, 0.309359223F },
    { "transformer.h.0.ln_1.bias", 32, 0, 0.0F, 0.25F },
    { "transformer.h.0.ln_1.weight", 32, 0, 1.0F, 0.25F },
    { "transformer.h.0.ln_2.bias", 32, 0, 0.0F, 0.25F },
    { "transformer.h.0.ln_2.weight", 32, 0, 1.0F, 0.25F },
    { "transformer.h.0.mlp.c_fc.bias", 128, 0, 0.0F, 0.25F },
    { "transformer.h.0.mlp.c_fc.weight", 32, 128, 0.0F, 0.309359223F },
    { "transformer.h.0.mlp.c_proj.bias", 32, 0, 0.0F, 0.25F },
    { "transformer.h.0.mlp.c_proj.weight", 128, 32, 0.0F, 0.154679611F },
    { "transformer.h.1.attn.c_attn.bias", 96, 0, 0.0F, 0.25F },
    { "transformer.h.1.attn.c_attn.weight", 32, 96, 0.0F, 0.309359223F },
    { "transformer.h.1.attn.c_proj.bias", 32, 0, 0.0F, 0.25F },
    { "transformer.h.1.attn.c_proj.weight", 32, 32, 0.0F, 0.309359223F },
    { "transformer.h.1.ln_1.bias", 32, 0, 0.0F, 0.25F },
    { "transformer.h.1.ln_1.weight", 32, 0, 1.0F, 0.25F },
    { "transformer.h.1.ln_2.bias", 32, 0, 0.0F, 0.25F },
    { "transformer.h.1.ln_2.weight", 32, 0, 1.0F, 0.25F },
    { "transformer.h.1.mlp.c_fc.bias", 128, 0, 0.0F, 0.25F },
    { "transformer.h.1.mlp.c_fc.weight", 32, 128, 0.0F, 0.309359223F },
    { "transformer.h.1.mlp.c_proj.bias", 32, 0, 0.0F, 0.25F },
    { "transformer.h.1.mlp.c_proj.weight", 128, 32, 0.0F, 0.154679611F },
    { "transformer.ln_f.bias", 32, 0, 0.0F, 0.25F },
    { "transformer.ln_f.weight", 32, 0, 1.0F, 0.25F },
    { "transformer.wpe.weight", 64, 32, 0.0F, 0.309359223F },
    { "transformer.wte.weight", 40, 32, 0.0F, 0.309359223F },
};
static const float golden_gpt2_logits[] = {
    -0.8040509F, 0.7727343F, -0.6390505F, -0.3816887F, -0.4571014F, -0.2741056F, 0.9581525F, -0.5774196F,
    0.889286F, 0.03903133F, -0.1262795F, -0.1423015F, 0.496044F, 0.8690392F, 0.2644951F, 1.522003F,
    0.9337213F, -0.8731024F, 0.6396214F, -1.556506F, 0.02824386F, -2.060388F, -0.2751321F, 0.6188878F,
    0.02461166F, -0.1169244F, -0.2789171F, 0.355392F, 1.355345F, -0.4694668F, -0.2970595F, -1.209687F,
    0.8126509F, -0.2510562F, 0.5287924F, 1.144911F, -2.287418F, 0.4528153F, -0.5532766F, 0.1713641F,
    -0.2837344F, 0.7855037F, -0.6506946F, 1.414573F, -0.4927039F, -1.149971F, 1.12983F, -0.8955292F,
    0.3040856F, -1.210867F, 1.283723F, 0.8884869F, 0.4297256F, 0.1985098F, 0.3358213F, 1.178302F,
    0.1177165F, -0.2068395F, 0.6218023F, -0.9513457F, -0.9067309F, -1.214927F, -0.9776556F, 2.44443F,
    -0.8880723F, -0.4420679F, -0.545894F, 0.8029184F, 0.02148287F, 0.9165367F, -1.560115F, -0.5573521F,
    2.192273F, -0.3974296F, -0.02725861F, 0.4176579F, -1.82696F, 0.6859083F, -1.909463F, 1.003032F,
};
static const double golden_gpt2_loss = 3.94858909;
static const double golden_gpt2_gradients[][2] = { /* of the tensors above */
    { 0.307981, -0.1019722 },
    { 1.676778, -0.04911664 },
    { 0.3290869, -0.01814343 },
    { 1.047352, 0.1320178 },
    { 0.3508066, 0.06821074 },
    { 0.2568488, -0.2328522 },
    { 0.1453011, -0.1176184 },
    { 0.160544, 0.01504278 },
    { 0.1414605, 0.03308607 },
    { 0.8565259, -0.8290285 },
    { 0.1973825, 0.08118719 },
    { 1.841502, -1.04365 },
    { 0.15205, 0.04605703 },
    { 0.7249463, 0.04692305 },
    { 0.1570927, -0.1238426 },
    { 0.6677782, -0.147787 },
    { 0.1403915, -0.008167502 },
    { 0.1357727, 0.08557237 },
    { 0.07297017, 0.0223325 },
    { 0.09965344, -0.03029572 },
    { 0.09828552, -0.0170821 },
    { 0.6291511, -0.07598523 },
    { 0.154037, -0.1175032 },
    { 1.246432, 0.05929309 },
    { 0.2114326, 0.02769859 },
    { 0.2670079, -0.1709043 },
    { 1.166206, 0.3220705 },
    { 1.738136, 2.742188 },
};
