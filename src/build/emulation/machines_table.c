/* SPDX-License-Identifier: Apache-2.0 */
/* Machines as ELF has them. spec: ELF gABI 4.1; each psABI for flags and system calls. */
#include <elf.h>
#include <glib.h>

#include "build/emulation/emulation_parts.h"

#define CODE(text) text, sizeof(text) - 1
#define LOAD_ADDRESS 0x400000
#define IDENT_BYTES 16
#define MAGIC_BYTES 20 /* e_ident, e_type, e_machine */

const struct emulation_machine emulation_machines[] = {
    {"386", "qemu-i386-static", false, false, EM_386, 0,
        CODE("\xb8\x01\x00\x00\x00\x31\xdb\xcd\x80")},
    {"amd64", "qemu-x86_64-static", true, false, EM_X86_64, 0,
        CODE("\xb8\x3c\x00\x00\x00\x31\xff\x0f\x05")},
    {"arm", "qemu-arm-static", false, false, EM_ARM, 0x05000000,
        CODE("\x00\x00\xa0\xe3\x01\x70\xa0\xe3\x00\x00\x00\xef")},
    {"arm64", "qemu-aarch64-static", true, false, EM_AARCH64, 0,
        CODE("\x00\x00\x80\xd2\xa8\x0b\x80\xd2\x01\x00\x00\xd4")},
    {"loong64", "qemu-loongarch64-static", true, false, 258, 0x43,
        CODE("\x04\x00\x80\x02\x0b\x74\x81\x02\x00\x00\x2b\x00")},
    {"ppc64le", "qemu-ppc64le-static", true, false, EM_PPC64, 2,
        CODE("\x01\x00\x00\x38\x00\x00\x60\x38\x02\x00\x00\x44")},
    {"riscv64", "qemu-riscv64-static", true, false, EM_RISCV, 0,
        CODE("\x13\x05\x00\x00\x93\x08\xd0\x05\x73\x00\x00\x00")},
    {"s390x", "qemu-s390x-static", true, true, EM_S390, 0, CODE("\xa7\x29\x00\x00\x0a\x01")},
    {0},
};

static void put(const struct emulation_machine *machine, GByteArray *out, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t shift = 8 * (machine->is_big_endian ? n - 1 - i : i);
        const guint8 byte = (guint8)(value >> shift);

        g_byte_array_append(out, &byte, 1);
    }
}

/* e_type: of a program without and with relocations differs in the last bit alone. */
static void put_magic(const struct emulation_machine *machine, GByteArray *out)
{
    const guint8 ident[IDENT_BYTES] = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3,
        machine->is_64bit ? ELFCLASS64 : ELFCLASS32,
        machine->is_big_endian ? ELFDATA2MSB : ELFDATA2LSB, EV_CURRENT};

    g_byte_array_append(out, ident, sizeof(ident));
    put(machine, out, ET_EXEC, 2);
    put(machine, out, machine->elf_machine, 2);
}

GBytes *emulation_probe(const struct emulation_machine *machine)
{
    const bool is_64bit = machine->is_64bit;
    const size_t word = is_64bit ? 8 : 4;
    const size_t header_len = is_64bit ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
    const size_t segment_len = is_64bit ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    const size_t code_at = header_len + segment_len, len = code_at + machine->exit_code_len;
    GByteArray *out = g_byte_array_new();

    put_magic(machine, out);
    put(machine, out, EV_CURRENT, 4);
    put(machine, out, LOAD_ADDRESS + code_at, word); /* entry */
    put(machine, out, header_len, word);             /* the program header's place */
    put(machine, out, 0, word);                      /* no section headers */
    put(machine, out, machine->elf_flags, 4);
    put(machine, out, header_len, 2);
    put(machine, out, segment_len, 2);
    put(machine, out, 1, 2); /* one segment */
    put(machine, out, 0, 2);
    put(machine, out, 0, 2);
    put(machine, out, 0, 2);

    put(machine, out, PT_LOAD, 4);
    if (is_64bit)
        put(machine, out, PF_R | PF_X, 4);
    put(machine, out, 0, word);
    put(machine, out, LOAD_ADDRESS, word);
    put(machine, out, LOAD_ADDRESS, word);
    put(machine, out, len, word);
    put(machine, out, len, word);
    if (!is_64bit)
        put(machine, out, PF_R | PF_X, 4);
    put(machine, out, 0x10000, word); /* alignment: the largest page of any machine */
    g_byte_array_append(out, (const guint8 *)machine->exit_code, (guint)machine->exit_code_len);
    return g_byte_array_free_to_bytes(out);
}

/* Flags: F loads the emulator now, O hands it the open program, P keeps the program's argv[0]. Not
 * C, which would let a setuid program choose how the emulator runs. */
char *emulation_rule(const struct emulation_machine *machine, const char *interpreter)
{
    g_autoptr(GByteArray) magic = g_byte_array_new();
    g_autoptr(GString) magic_text = g_string_new(NULL);
    g_autoptr(GString) mask_text = g_string_new(NULL);

    put_magic(machine, magic);
    for (guint i = 0; i < MAGIC_BYTES; i++) {
        const bool is_type = i == (machine->is_big_endian ? 17U : 16U);
        const bool is_abi = i == 7; /* EI_OSABI: any */

        g_string_append_printf(magic_text, "\\x%02x", magic->data[i]);
        g_string_append_printf(mask_text, "\\x%02x", is_abi ? 0U : is_type ? 0xfeU : 0xffU);
    }
    return g_strdup_printf(
        ":cob-%s:M::%s:%s:%s:POF", machine->arch, magic_text->str, mask_text->str, interpreter);
}
