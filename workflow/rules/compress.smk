# Methods that make a variant smaller: pruning and clustering with further training, quantization with and without.


rule prune_torch:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.safetensors",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
        training="results/{run}/models/{variant}/seed-{seed}/training.csv",
    log:
        "results/{run}/logs/prune-torch/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("prune-torch")),
    conda:
        "../../envs/torch.yaml"
    threads: threads_of_training
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("prune_torch")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("prune_torch")(wildcards)),
        state="results/{run}/state/{variant}/seed-{seed}",
        threads=threads_of_training,
    message:
        "Pruning {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.prune_torch --data {input.data} --parent {input.parent} --state {params.state}"
        " --model {output.model} --card {output.card} --training {output.training}"
        " --threads {params.threads} --spec {params.spec:q} --code {params.stamp} --log {log}"


rule prune_channels:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.safetensors",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
        training="results/{run}/models/{variant}/seed-{seed}/training.csv",
    log:
        "results/{run}/logs/prune-channels/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("prune-channels")),
    conda:
        "../../envs/torch.yaml"
    threads: threads_of_training
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("prune_channels")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("prune_channels")(wildcards)),
        state="results/{run}/state/{variant}/seed-{seed}",
        threads=threads_of_training,
    message:
        "Pruning channels of {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.prune_channels --data {input.data} --parent {input.parent} --state {params.state}"
        " --model {output.model} --card {output.card} --training {output.training}"
        " --threads {params.threads} --spec {params.spec:q} --code {params.stamp} --log {log}"


rule prune_tfmot:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.safetensors",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
        training="results/{run}/models/{variant}/seed-{seed}/training.csv",
    log:
        "results/{run}/logs/prune-tfmot/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("prune-tfmot")),
    conda:
        "../../envs/tensorflow.yaml"
    threads: threads_of_training
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("prune_tfmot")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("prune_tfmot")(wildcards)),
        state="results/{run}/state/{variant}/seed-{seed}",
        threads=threads_of_training,
    message:
        "Pruning {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.prune_tfmot --data {input.data} --parent {input.parent} --state {params.state}"
        " --model {output.model} --card {output.card} --training {output.training}"
        " --threads {params.threads} --spec {params.spec:q} --code {params.stamp} --log {log}"


rule cluster_tfmot:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.safetensors",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
        training="results/{run}/models/{variant}/seed-{seed}/training.csv",
    log:
        "results/{run}/logs/cluster-tfmot/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("cluster-tfmot")),
    conda:
        "../../envs/tensorflow.yaml"
    threads: threads_of_training
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("cluster_tfmot")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("cluster_tfmot")(wildcards)),
        state="results/{run}/state/{variant}/seed-{seed}",
        threads=threads_of_training,
    message:
        "Clustering the weights of {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.cluster_tfmot --data {input.data} --parent {input.parent} --state {params.state}"
        " --model {output.model} --card {output.card} --training {output.training}"
        " --threads {params.threads} --spec {params.spec:q} --code {params.stamp} --log {log}"


rule qat_tfmot:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.tflite",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
        training="results/{run}/models/{variant}/seed-{seed}/training.csv",
    log:
        "results/{run}/logs/qat-tfmot/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("qat-tfmot")),
    conda:
        "../../envs/tensorflow.yaml"
    threads: threads_of_training
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("qat_tfmot")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("qat_tfmot")(wildcards)),
        state="results/{run}/state/{variant}/seed-{seed}",
        threads=threads_of_training,
    message:
        "Training to int8: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.qat_tfmot --data {input.data} --parent {input.parent} --state {params.state}"
        " --model {output.model} --card {output.card} --training {output.training}"
        " --threads {params.threads} --spec {params.spec:q} --code {params.stamp} --log {log}"


rule qat_eager:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.safetensors",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
        training="results/{run}/models/{variant}/seed-{seed}/training.csv",
    log:
        "results/{run}/logs/qat-eager/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("qat-eager")),
    conda:
        "../../envs/torch.yaml"
    threads: threads_of_training
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("qat_eager")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("qat_eager")(wildcards)),
        state="results/{run}/state/{variant}/seed-{seed}",
        threads=threads_of_training,
    message:
        "Training to fake int8: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.qat_eager --data {input.data} --parent {input.parent} --state {params.state}"
        " --model {output.model} --card {output.card} --training {output.training}"
        " --threads {params.threads} --spec {params.spec:q} --code {params.stamp} --log {log}"


rule convert_eager:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.safetensors",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
    log:
        "results/{run}/logs/convert-eager/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("convert-eager")),
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=growing(4000),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("convert_eager")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("convert_eager")(wildcards)),
    message:
        "Converting to int8: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.convert_eager --data {input.data} --parent {input.parent}"
        " --model {output.model} --card {output.card}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"


rule qat_pt2e:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.safetensors",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
        training="results/{run}/models/{variant}/seed-{seed}/training.csv",
    log:
        "results/{run}/logs/qat-pt2e/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("qat-pt2e")),
    conda:
        "../../envs/torch.yaml"
    threads: threads_of_training
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("qat_pt2e")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("qat_pt2e")(wildcards)),
        state="results/{run}/state/{variant}/seed-{seed}",
        threads=threads_of_training,
    message:
        "Training to fake int8: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.qat_pt2e --data {input.data} --parent {input.parent} --state {params.state}"
        " --model {output.model} --card {output.card} --training {output.training}"
        " --threads {params.threads} --spec {params.spec:q} --code {params.stamp} --log {log}"


rule convert_pt2e:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.onnx",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
    log:
        "results/{run}/logs/convert-pt2e/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("convert-pt2e")),
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=growing(4000),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("convert_pt2e")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("convert_pt2e")(wildcards)),
    message:
        "Converting to int8 in ONNX: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.convert_pt2e --data {input.data} --parent {input.parent}"
        " --model {output.model} --card {output.card}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"


rule quantize_numpy:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.npz",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
    log:
        "results/{run}/logs/quantize-numpy/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("quantize-numpy")),
    conda:
        "../../envs/numpy.yaml"
    resources:
        mem_mb=growing(2000),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*stage("quantize_numpy")),
        stamp=lambda wildcards: stamp(*stage("quantize_numpy")),
    message:
        "Quantizing {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.quantize_numpy --data {input.data} --parent {input.parent}"
        " --model {output.model} --card {output.card}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"


rule ptq_onnx:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.onnx",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
    log:
        "results/{run}/logs/ptq-onnx/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("ptq-onnx")),
    conda:
        "../../envs/onnx.yaml"
    resources:
        mem_mb=growing(2000),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*stage("ptq_onnx")),
        stamp=lambda wildcards: stamp(*stage("ptq_onnx")),
    message:
        "Quantizing {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.ptq_onnx --data {input.data} --parent {input.parent}"
        " --model {output.model} --card {output.card}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"


rule ptq_onnx_dynamic:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.onnx",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
    log:
        "results/{run}/logs/ptq-onnx-dynamic/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("ptq-onnx-dynamic")),
    conda:
        "../../envs/onnx.yaml"
    resources:
        mem_mb=growing(2000),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*stage("ptq_onnx_dynamic")),
        stamp=lambda wildcards: stamp(*stage("ptq_onnx_dynamic")),
    message:
        "Quantizing the weights of {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.ptq_onnx_dynamic --data {input.data} --parent {input.parent}"
        " --model {output.model} --card {output.card}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"


rule ptq_onnx_mixed:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.onnx",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
        sensitivity="results/{run}/models/{variant}/seed-{seed}/sensitivity.csv",
    log:
        "results/{run}/logs/ptq-onnx-mixed/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("ptq-onnx-mixed")),
    conda:
        "../../envs/onnx.yaml"
    resources:
        mem_mb=growing(2000),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*stage("ptq_onnx_mixed")),
        stamp=lambda wildcards: stamp(*stage("ptq_onnx_mixed")),
    message:
        "Measuring the layers of {wildcards.variant} and quantizing it, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.ptq_onnx_mixed --data {input.data} --parent {input.parent}"
        " --model {output.model} --card {output.card} --sensitivity {output.sensitivity}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"
