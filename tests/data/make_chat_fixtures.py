#!/usr/bin/env python
"""Writes what transformers makes of conversations, for tests of the runtime's chat templates: chat/golden.json.

    python -m venv /tmp/fixtures && /tmp/fixtures/bin/pip install torch transformers
    /tmp/fixtures/bin/python make_chat_fixtures.py

The templates are written for this, in the manner of those that people run most: Llama 3, Qwen (ChatML), Mistral,
Gemma, and a few for single rules of Jinja. Each case has a tokenizer's configuration, a conversation and the text that
`apply_chat_template` gives, or the message with which the template refuses.
"""

import json
import os
import tempfile

import jinja2
import transformers
from transformers import AutoTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))

LLAMA = """\
{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- A system message of its own stands first. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
    {{- "Call one of these functions, as JSON:\\n\\n" }}
    {%- for tool in tools %}
        {{- tool | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system + "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls | length == 1 %}
            {{- raise_exception("One call at a time, please!") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
        {{- '{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- else %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable and message.content is not string %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

QWEN = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content }}
    {%- else %}
        {{- 'You help where you can.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n\\n<tool_call>\\n{\\"name\\": <name>, \\"arguments\\": <object>}\\n</tool_call><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou help where you can.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(seeks=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.seeks and message.role == "user" and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.seeks = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content if message.content is string else '' %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is defined and message.reasoning_content is not none %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and thought %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\\n' }}
                {%- endif %}
                {%- if call.function %}
                    {%- set call = call.function %}
                {%- endif %}
                {{- '<tool_call>\\n{"name": "' }}
                {{- call.name }}
                {{- '", "arguments": ' }}
                {%- if call.arguments is string %}
                    {{- call.arguments }}
                {%- else %}
                    {{- call.arguments | tojson }}
                {%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

MISTRAL = """\
{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}\
{% else %}{% set rest = messages %}{% endif %}
{% for message in rest %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('Roles must alternate: user/assistant/user/assistant/...') }}
    {% endif %}
    {% if message['role'] == 'user' %}
        {% if loop.last and system is defined %}
            {{ ' [INST] ' + system + '\\n\\n' + message['content'] + ' [/INST]' }}
        {% else %}
            {{ ' [INST] ' + message['content'] + ' [/INST]' }}
        {% endif %}
    {% elif message['role'] == 'assistant' %}
        {{ ' ' + message['content'] + eos_token}}
    {% else %}
        {{ raise_exception('Only user and assistant roles are supported, got ' + message['role']) }}
    {% endif %}
{% endfor %}
"""

GEMMA = """\
{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}\
{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Conversation roles must alternate') }}{% endif %}\
{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}\
{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}"""

# One rule a line.
RULES = """\
{%- macro show(name, value) -%}{{ name }}={{ value }};{% endmacro -%}
{{ show('true', true) }}{{ show('none', none) }}{{ show('list', [1, 2.0, 'a', none, {'b': false}]) }}
{{ show("quotes", ["it's", 'say "x"', 'both \\' and "']) }}{{ show('float', 1e16) }}{{ show('small', 0.00001) }}
  {% if true %}
trimmed
  {% endif %}
{{ {'z': 1, 'a': [1.5, "é<&>'", []], 'n': {}} | tojson }}
{{ {'z': 1, 'a': [1.5, "é<&>'", []], 'n': {}} | tojson(indent=2) }}
{{ {'z': 1, 'a': "é😀"} | tojson(ensure_ascii=true, sort_keys=true, separators=(',', ':')) }}
{% for message in messages %}
    {% if loop.index0 == 1 %}{% continue %}{% endif %}
    {% if loop.index0 == 3 %}{% break %}{% endif %}
{{ loop.index }}/{{ loop.length }} {{ message.content.upper() }} {{ message.content.title() }} {{ message.get('name', 'nobody') }}
    {% generation %}
{{ message.content }}
    {% endgeneration %}
{% endfor %}
{% for key, value in messages[0].items() %}{{ key }}:{{ value }},{% endfor %}
{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join('+') }}
{{ nothing }}|{{ messages[-1].content[:3] }}|{{ 'x' * 3 }}|{{ 7 // 2 }}|{{ 7 % 4 }}|{{ 'a' ~ 1 }}|{{ messages | length }}
{{ tools is none }} {{ documents is none }} {{ add_generation_prompt }} {{ pad_token is defined }} {{ eos_token }}
"""

USER = {"role": "user", "content": "  What is the weather in Köln? 😀 "}
ANSWER = {"role": "assistant", "content": "Rain,\n<b>as ever</b>."}
AGAIN = {"role": "user", "content": "And tomorrow?"}
SYSTEM = {"role": "system", "content": "Answer in one word."}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather at a place, \"now\" or later: <é>",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}, "days": {"type": "number", "default": 1.0}},
            "required": ["place"],
        },
    },
}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "weather", "arguments": {"place": "Köln", "days": 2}}}
    ],
}
RESULT = {"role": "tool", "tool_call_id": "1", "content": '{"sky": "rain"}'}
THOUGHT = {"role": "assistant", "content": "Rain.", "reasoning": "It is Köln."}

CONVERSATIONS = {
    "one": [USER],
    "several": [USER, ANSWER, AGAIN],
    "system": [SYSTEM, USER, ANSWER, AGAIN],
    "tools": [USER, CALL, RESULT, AGAIN],
    "thought": [USER, THOUGHT],
    "two questions": [USER, AGAIN],
}

TEMPLATES = {"llama": LLAMA, "qwen": QWEN, "mistral": MISTRAL, "gemma": GEMMA, "rules": RULES}


def configurations():
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    described = {"content": "</s>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    described = dict(described, __type="AddedToken")
    for name, template in TEMPLATES.items():
        yield name, dict(tokens, chat_template=template)
    several = [{"name": "default", "template": MISTRAL}, {"name": "tool_use", "template": QWEN}]
    yield "several", dict(tokens, eos_token=described, chat_template=several)


def render(configuration, conversation, variables):
    with tempfile.TemporaryDirectory() as folder:
        own = os.path.join(HERE, "language", "base", "tokenizer.json")
        os.symlink(own, os.path.join(folder, "tokenizer.json"))
        with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
            json.dump(dict(configuration, tokenizer_class="PreTrainedTokenizerFast"), file)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        variables = dict({"add_generation_prompt": True}, **variables)
        try:
            return {"text": tokenizer.apply_chat_template(conversation, tokenize=False, **variables)}
        except jinja2.exceptions.TemplateError as error:
            return {"refused": error.message}


def main():
    cases = []
    used = {}
    for template, configuration in configurations():
        used[template] = configuration
        for conversation, messages in CONVERSATIONS.items():
            for name, variables in {
                "plain": {},
                "tools": {"tools": [TOOL]},
                "no prompt": {"add_generation_prompt": False},
                "no thinking": {"enable_thinking": False},
            }.items():
                if name == "no thinking" and template != "qwen":
                    continue
                answer = render(configuration, messages, variables)
                cases.append(
                    {"template": template, "conversation": conversation, "variables": variables, **answer}
                )
    made = {
        "made_with": {"transformers": transformers.__version__, "jinja2": jinja2.__version__},
        "configurations": used,
        "conversations": CONVERSATIONS,
        "cases": cases,
    }
    os.makedirs(os.path.join(HERE, "chat"), exist_ok=True)
    with open(os.path.join(HERE, "chat", "golden.json"), "w") as file:
        json.dump(made, file, ensure_ascii=False, indent=1)
        file.write("\n")
    print(len(cases), "cases,", sum("refused" in case for case in cases), "refused")


if __name__ == "__main__":
    main()
