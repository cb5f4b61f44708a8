# Copies /tmp/in to `out` in the working directory, and says it: without a C library, as static programs do.
# The test has the program as text; it was made so:
#   gcc -nostdlib -static -no-pie -s -Wl,--build-id=none -Wl,-N -o reads reads.s   (and its section headers cut off)
    .globl _start
_start:
    sub $256, %rsp
    mov $2, %eax                # open
    lea in(%rip), %rdi
    xor %esi, %esi              # O_RDONLY
    syscall
    mov %eax, %edi
    xor %eax, %eax              # read
    mov %rsp, %rsi
    mov $128, %edx
    syscall
    mov %eax, %ebx
    mov $2, %eax                # open
    lea out(%rip), %rdi
    mov $0101, %esi             # O_WRONLY | O_CREAT
    mov $0644, %edx
    syscall
    mov %eax, %edi
    mov $1, %eax                # write
    mov %rsp, %rsi
    mov %ebx, %edx
    syscall
    mov $1, %eax                # write
    mov $1, %edi
    syscall
    mov $60, %eax               # exit
    xor %edi, %edi
    syscall
in: .asciz "/tmp/in"
out: .asciz "out"
