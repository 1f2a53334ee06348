/* Serves the image by libmodbus, over TCP or a serial line, one client after the other.
 *
 *     serve tcp PORT | rtu DEVICE   < image
 *
 * stdin: "table count", then the values, for coil, discrete, holding, input. Prints "ready". */
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static modbus_mapping_t *read_image(void) {
    modbus_mapping_t *map = modbus_mapping_new(4096, 4096, 4096, 4096);
    char table[16];
    int count, value;
    while (map && scanf("%15s %d", table, &count) == 2) {
        for (int i = 0; i < count && i < 4096; i++) {
            if (scanf("%d", &value) != 1) return NULL;
            if (!strcmp(table, "coil")) map->tab_bits[i] = value;
            else if (!strcmp(table, "discrete")) map->tab_input_bits[i] = value;
            else if (!strcmp(table, "holding")) map->tab_registers[i] = value;
            else map->tab_input_registers[i] = value;
        }
    }
    return map;
}

int main(int argc, char **argv) {
    int tcp = argc == 3 && !strcmp(argv[1], "tcp"), listener = -1;
    if (argc != 3) return 2;
    modbus_t *bus = tcp ? modbus_new_tcp("127.0.0.1", atoi(argv[2]))
                        : modbus_new_rtu(argv[2], 115200, 'N', 8, 1);
    modbus_mapping_t *map = read_image();
    if (!bus || !map) return 1;
    modbus_set_slave(bus, 1);
    if (tcp) {
        listener = modbus_tcp_listen(bus, 4);
        if (listener < 0) return 1;
    } else if (modbus_connect(bus) < 0) {
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        if (tcp && modbus_tcp_accept(bus, &listener) < 0) return 1;
        for (;;) {
            uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
            int length = modbus_receive(bus, query);
            if (length > 0) modbus_reply(bus, query, length, map);
            else if (length < 0 && tcp) break;
        }
        modbus_close(bus);
    }
}
