"""A Modbus TCP server, pymodbus's own, with a value of every type: server.py PORT"""

import asyncio
import sys

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

HOLDING = [
    SimData(0, values=1234, datatype=DataType.UINT16),
    SimData(1, values=-1234, datatype=DataType.INT16),
    SimData(2, values=-123456789, datatype=DataType.INT32),
    SimData(4, values=3123456789, datatype=DataType.UINT32),
    SimData(6, values=3.25, datatype=DataType.FLOAT32),
    SimData(8, values=-1234567890123456, datatype=DataType.INT64),
    SimData(12, values=1234567890123456, datatype=DataType.UINT64),
    SimData(16, values=-2.0625, datatype=DataType.FLOAT64),
    # 3.25 is 0x40500000.
    SimData(20, values=[0x0000, 0x4050], datatype=DataType.REGISTERS),
    SimData(22, values=[0x5040, 0x0000], datatype=DataType.REGISTERS),
    SimData(24, values=[0x0000, 0x5040], datatype=DataType.REGISTERS),
    SimData(26, values=0b0000_0000_0001_0000, datatype=DataType.UINT16),
    SimData(27, values=float("nan"), datatype=DataType.FLOAT32),
    SimData(29, values=0x8000, datatype=DataType.UINT16),
    SimData(100, values=list(range(300)), datatype=DataType.UINT16),
    # The device below refuses these, with a failure and as busy.
    SimData(500, values=[7] * 10, datatype=DataType.UINT16),
    SimData(600, values=[8] * 10, datatype=DataType.UINT16),
]
INPUTS = [SimData(5, values=77, datatype=DataType.UINT16)]
COILS = [SimData(0, values=[i % 3 == 0 for i in range(32)], datatype=DataType.BITS)]
DISCRETE = [SimData(0, values=[i % 5 == 0 for i in range(32)], datatype=DataType.BITS)]


async def moody(function, _start, address, _count, _registers, _set):
    if function == 3 and 500 <= address < 510:
        return ExcCodes.DEVICE_FAILURE
    if function == 3 and 600 <= address < 610:
        return ExcCodes.DEVICE_BUSY
    return None


async def asleep(*_):
    await asyncio.sleep(3600)


async def main():
    devices = [
        SimDevice(1, simdata=(COILS, DISCRETE, HOLDING, INPUTS), action=moody),
        # Behind the same gateway: takes requests and never answers.
        SimDevice(9, simdata=[SimData(0, values=1, datatype=DataType.UINT16)], action=asleep),
    ]
    server = ModbusTcpServer(devices, address=("127.0.0.1", int(sys.argv[1])))
    await server.serve_forever()


asyncio.run(main())
